"""Songs that are delivered: the history, one song, its stems, peaks, previews, a ZIP, a mix."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stemwatch.codes import Code
from stemwatch.disks import durable
from stemwatch.errors import StemwatchError
from stemwatch.job import FORMATS, Job
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.outbox import staging, waveform_file
from stemwatch.outbox.sidecar import ResultFile
from stemwatch.web.api.api_faults import FRESH, Fault
from stemwatch.web.api.delivered import Result, opened, pcm_of
from stemwatch.web.api.files import FileAnswer, let_go
from stemwatch.web.api.login import body_of
from stemwatch.web.api.zipped import ZipAnswer
from stemwatch.web.backing import Backing, Document
from stemwatch.web.live.documents import HAS_STEMS, job_document

PIECE, LEAD = 4.0, 0.1  # seconds of a preview, and of what comes before for its decoder
_PAGE, _MOST = 50, 200  # songs
_LOUDEST = 4.0  # a fader's factor
_KEPT = 64  # songs whose peaks are remembered: 12 kB each


class Songs:
    """The calls below /api/songs."""

    def __init__(self, backing: Backing, journal: ReadOnlyJournal) -> None:
        self._audio = backing.health.context.audio
        self._journal = journal
        self._peaks: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()

    async def history(self, request: Request) -> Response:
        """`{"songs": [...], "more": true}`, the newest first; `before` is the last one's id."""
        query = request.query_params
        limit = _number(query.get("limit"), _PAGE)
        before = _number(query.get("before"), 0) or None
        words = query.get("q", "").split()[:8]
        limit = max(1, min(limit, _MOST))
        jobs = await self._journal.with_stems(before=before, words=words, limit=limit + 1)
        songs = [job_document(job) for job in jobs[:limit]]
        return JSONResponse({"songs": songs, "more": len(jobs) > limit}, headers=FRESH)

    async def song(self, request: Request) -> Response:
        """The sidecar, and where the samples of each stem lie."""
        job = await self._job(request)
        return JSONResponse(await asyncio.to_thread(_song, job), headers=FRESH)

    async def stem(self, request: Request) -> FileAnswer:
        """One stem's file."""
        job = await self._job(request)

        def found() -> tuple[int, str]:
            with opened(job) as result:
                stem = result.stem(request.path_params["stem"])
                return result.open(stem.file), stem.file

        return FileAnswer(*await asyncio.to_thread(found))

    async def stem_file(self, request: Request) -> FileAnswer:
        """The one file with all stems, where `separation.stem_file` asked for it."""
        job = await self._job(request)

        def found() -> tuple[int, str]:
            with opened(job) as result:
                return result.open(result.stem_file), result.stem_file

        return FileAnswer(*await asyncio.to_thread(found))

    async def zip(self, request: Request) -> ZipAnswer:
        """All stems, or those of `?stem=`."""
        job = await self._job(request)
        wanted = request.query_params.getlist("stem")

        def found() -> list[tuple[str, int]]:
            with opened(job) as result:
                stems = [result.stem(one) for one in wanted] if wanted else result.stems
                return [(stem.file, fd) for stem, fd in _all_open(result, stems)]

        name = os.path.basename(job.delivered_to or "")
        return ZipAnswer(f"{_shown(name)}.zip", await asyncio.to_thread(found))

    async def peaks(self, request: Request) -> Response:
        """For each stem, in the song's order, 1,000 pairs of int8: the lowest, the highest."""
        job = await self._job(request)
        async with _paths(job) as (result, paths):
            found = await asyncio.to_thread(os.fstat, result.fd)
            key = (found.st_dev, found.st_ino, found.st_mtime_ns)
            if (kept := self._peaks.get(key)) is None:
                kept = await self._drawn(result, paths)
                self._peaks[key] = kept
                while len(self._peaks) > _KEPT:
                    self._peaks.popitem(last=False)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(kept, media_type="application/octet-stream", headers=headers)

    async def _drawn(self, result: Result, paths: Mapping[str, str]) -> bytes:
        """As measured at the delivery; what has changed since, or was delivered earlier, anew."""

        def kept() -> list[bytes | None]:
            ready = waveform_file.read(result.fd)
            return [
                ready.get(stem.id) if _size(paths[stem.id]) == stem.bytes else None
                for stem in result.stems
            ]

        drawn = zip(result.stems, await asyncio.to_thread(kept), strict=True)
        return b"".join([one or await self._asked(paths[stem.id]) for stem, one in drawn])

    async def _asked(self, path: str) -> bytes:
        try:
            return await self._audio.peaks(path, waveform_file.COLUMNS)
        except StemwatchError:
            return bytes(2 * waveform_file.COLUMNS)  # what can't be drawn may still be heard

    async def preview(self, request: Request) -> Response:
        """Piece `k` of four seconds, as Ogg Opus; from the second on it has a lead of 0.1 s."""
        job, k = await self._job(request), request.path_params["k"]
        async with _paths(job) as (result, paths):
            path = paths[result.stem(request.path_params["stem"]).id]
            piece = await self._audio.preview(path, k * PIECE, PIECE, LEAD)
        if not piece:
            raise Fault(404, "no_piece", "The song has ended before that.")
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(piece, media_type="audio/ogg", headers=headers)

    async def mix(self, request: Request) -> FileAnswer:
        """`{"gains": {"drums": 0.5}, "format": "wav"}`: their sum, made now and kept nowhere."""
        job = await self._job(request)
        given = await body_of(request)
        format = given.get("format", "wav")
        if format not in FORMATS:
            raise Fault(400, Code.BAD_REQUEST, f"`format` must be one of {', '.join(FORMATS)}.")
        async with _paths(job) as (result, paths):
            gains = _gains(result, given.get("gains"))
            return await self._mixed(job, {paths[one]: gains[one] for one in gains}, str(format))

    async def _mixed(self, job: Job, inputs: Mapping[str, float], format: str) -> FileAnswer:
        """Made on the outbox's own disk, and without a name before it is sent."""
        folder = os.path.join(job.outbox, staging.HIDDEN, f"mix-{os.urandom(8).hex()}")
        with durable.disk_faults(job.outbox):
            await asyncio.to_thread(durable.make_dirs, folder, root=job.outbox, flush=False)
            try:
                out = os.path.join(folder, f"mix.{format}")
                await self._audio.mix(list(inputs), out, format, list(inputs.values()))
                fd = await asyncio.to_thread(os.open, out, os.O_RDONLY | os.O_CLOEXEC)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        name = _shown(os.path.basename(job.delivered_to or "Mix"))
        return FileAnswer(fd, f"{name} (Mix).{format}", cache="no-store")

    async def _job(self, request: Request) -> Job:
        found = list((await self._journal.by_ids([request.path_params["id"]])).values())
        if not found or found[0].state not in HAS_STEMS:
            raise Fault(404, "no_song", "There is no such song, or it has no stems yet.")
        return found[0]


def _song(job: Job) -> Document:
    with opened(job) as result:
        stems = []
        for stem in result.stems:
            fd = result.open(stem.file)
            try:
                pcm, size = pcm_of(fd), os.fstat(fd).st_size
            finally:
                os.close(fd)
            mixed = None if stem.derived_from is None else list(stem.derived_from)
            stems.append({"id": stem.id, "file": stem.file, "bytes": size, "pcm": pcm, "of": mixed})
        return {**job_document(job), "files": stems, "sidecar": result.sidecar}


@asynccontextmanager
async def _paths(job: Job) -> AsyncIterator[tuple[Result, dict[str, str]]]:
    """The open song, and the paths of its stems for the audio helper, another process."""
    stack = ExitStack()

    def found() -> tuple[Result, dict[str, str]]:
        result = stack.enter_context(opened(job))
        held = _all_open(result, result.stems)
        for _, fd in held:
            stack.callback(os.close, fd)
        return result, {stem.id: _path(job, stem, fd) for stem, fd in held}

    try:
        yield await asyncio.to_thread(found)
    finally:
        let_go(stack.close)


def _size(path: str) -> int | None:
    """None where it has just been moved."""
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _path(job: Job, stem: ResultFile, fd: int) -> str:
    """Where the open file lies. Raises Fault 410 where a link leads to another one."""
    path = os.path.join(job.delivered_to or "", stem.file)
    with suppress(OSError):
        if os.path.samestat(os.lstat(path), os.fstat(fd)):
            return path
    raise Fault(410, Code.GONE, f"{stem.file} was moved just now.", "Try again.")


def _all_open(result: Result, stems: Sequence[ResultFile]) -> list[tuple[ResultFile, int]]:
    held: list[tuple[ResultFile, int]] = []
    try:
        held.extend((stem, result.open(stem.file)) for stem in stems)
    except Fault:
        for _, fd in held:
            os.close(fd)
        raise
    return held


def _gains(result: Result, given: object) -> dict[str, float]:
    if not isinstance(given, dict):
        raise Fault(400, Code.BAD_REQUEST, "`gains` must name stems, each with a factor.")
    gains = {}
    for name, factor in given.items():
        stem = result.stem(str(name))
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            raise Fault(400, Code.BAD_REQUEST, f"The gain of {name} must be a number.")
        if not 0 <= factor <= _LOUDEST:
            raise Fault(400, Code.BAD_REQUEST, f"The gain of {name} must be 0 to {_LOUDEST:g}.")
        if factor:
            gains[stem.id] = float(factor)
    if not gains:
        raise Fault(400, Code.BAD_REQUEST, "At least one stem must be heard.")
    return gains


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 18:
        raise Fault(400, Code.BAD_REQUEST, f"{text[:20]!r} is no whole number.")
    return int(text)


def _shown(name: str) -> str:
    """A name that can be sent in a header, whatever bytes it has on the disk."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
