"""`POST /api/remove-vocals`: a song in, its instrumental out; for scripts and other web apps.

The song lands in an inbox and takes the ordinary way, so a caller that leaves loses nothing: it is
delivered all the same, and the same bytes are free the next time.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from stemwatch.codes import Code, rule_of
from stemwatch.config import Inbox
from stemwatch.disks.opening import NotYet
from stemwatch.errors import Reject
from stemwatch.inbox.reading import Changed
from stemwatch.job import IN_OUTBOX, Job, JobState, Options
from stemwatch.journal.journal import StaleJob
from stemwatch.log import redacted
from stemwatch.receiving.multipart_in import OVERHEAD, receive
from stemwatch.receiving.streaming import MAX_FILE, declared_length
from stemwatch.tasks import supervised
from stemwatch.web.api import api_faults as faults
from stemwatch.web.api.api_faults import CLOSE, FRESH, Fault
from stemwatch.web.api.delivered import opened
from stemwatch.web.api.files import FileAnswer
from stemwatch.web.api.landing import Landing, checked_path, landing, require_room
from stemwatch.web.api.uploads import inbox_of
from stemwatch.web.backing import Backing, Broken, Door
from stemwatch.web.connection_limits import STALL
from stemwatch.web.live.documents import HAS_STEMS
from stemwatch.web.live.state import Live
from stemwatch.web.long_requests import Full, LongRequests
from stemwatch.workers.pacing.budget import Allowance
from stemwatch.workers.pool.choosing.passing import held

_ENDED = HAS_STEMS | {JobState.QUARANTINED, JobState.GONE}
_SOON = 30.0  # seconds
_LONGEST = 86_400.0  # seconds of a Retry-After


class RemoveVocals:
    """The call; `live` tells when a song has come further, so nothing is polled."""

    def __init__(
        self, backing: Backing, live: Live, long_requests: LongRequests, broken: Broken
    ) -> None:
        self._backing = backing
        self._context = backing.health.context
        self._live = live
        self._long_requests = long_requests
        self._broken = broken

    async def post(self, request: Request) -> FileAnswer | JSONResponse:
        """The instrumental; 202 `{id, events}` at once with `Prefer: respond-async`."""
        inbox, door = inbox_of(self._backing, request.query_params.get("inbox"))
        _require_form(request)
        await self._require_going(inbox.name)
        try:
            with self._long_requests.upload():
                request.scope["state"]["connection"].set_apart(stall=STALL)
                await door.require_online()
                job = await self._taken_in(request, inbox, door)
                if _wants_no_wait(request):
                    told = {"id": job.id, "events": "events"}
                    return JSONResponse(told, status_code=202, headers=FRESH)
                return await self._instrumental(await self._while_there(request, job))
        except Full:
            raise faults.full("uploads") from None

    async def _taken_in(self, request: Request, inbox: Inbox, door: Door) -> Job:
        root = inbox.folders.inbox
        size = int(request.headers.get("content-length", "0"))
        await asyncio.to_thread(require_room, root, size)
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(landing(root, ""))
            kind = request.headers.get("content-type", "")
            form = await receive(request.stream(), kind, place.path)
            if form.filename is None:
                raise _missing()
            name = checked_path(_plain(form.filename), self._backing.settings())
            try:
                path = await asyncio.to_thread(os.path.realpath, place.path)
                await self._context.audio.probe(path)
            except Reject as fault:  # it names the file as it is called while it comes in
                words = fault.message.replace(os.path.basename(path), redacted(name))
                raise Fault(400, fault.code, words, fault.hint) from fault
            # From here on it is a song like any other, whether or not the caller waits.
            options = Options(stems=2, format=inbox.separation.format)
            landed = self._landed(stack.pop_all(), place, name, options, door)
            return await asyncio.shield(supervised(landed, self._failed))

    async def _landed(
        self, stack: AsyncExitStack, place: Landing, name: str, options: Options, door: Door
    ) -> Job:
        async with stack:
            path = await asyncio.to_thread(place.land, name, lambda at: door.asking(at, options))
        try:
            return await door.admit(path, options)
        # Somebody is at it; the scan goes on with it.
        except (Changed, NotYet, FileNotFoundError, StaleJob):
            words = "It could not be taken in at once; it is separated all the same."
            headers = {"Retry-After": _whole(_SOON)}
            raise Fault(503, Code.NOT_NOW, words, "Ask for it again.", headers=headers) from None

    def _failed(self, fault: BaseException) -> None:
        if isinstance(fault, Exception) and not isinstance(fault, Fault):
            self._broken("/api/remove-vocals", fault)

    async def _while_there(self, request: Request, job: Job) -> Job:
        """`_done`, for as long as the caller waits. Raises ClientDisconnect."""
        done = asyncio.ensure_future(self._done(job))
        leaving = asyncio.ensure_future(_hung_up(request))
        try:
            await asyncio.wait((done, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise ClientDisconnect
            return done.result()
        finally:
            for task in (done, leaving):
                task.cancel()

    async def _done(self, job: Job) -> Job:
        """Once it has stems. Raises Fault 500, 503, 504."""
        deadline = self._backing.settings().api.job_deadline
        with self._live.watched():
            try:
                async with asyncio.timeout(deadline):
                    while job.state not in _ENDED:
                        changed = asyncio.ensure_future(self._live.changed())
                        try:
                            job = await self._context.journal.get(job.id) or job
                            if job.state in _ENDED:
                                break
                            await self._require_hope(job)
                            await changed
                        finally:
                            changed.cancel()
            except TimeoutError:
                words = f"It takes longer than {deadline:g} s; it goes on."
                raise _later(504, "late", words, job) from None
        if job.state not in HAS_STEMS:
            raise _without_stems(job)
        return job

    async def _require_hope(self, job: Job) -> None:
        """Raise Fault 503 where nobody knows when it will go on."""
        if self._live.closing or self._backing.health.stopping:
            raise _later(503, "stopping", "The service is being stopped; it goes on later.", job)
        if job.state is not JobState.QUEUED or job.at_hand:
            return
        context = self._context
        if (pause := held(context, job.inbox, job)) is not None:
            seconds = pause.until - context.clock()
            raise _later(503, pause.code, redacted(pause.message), job, seconds)
        left = await self._left(job.inbox)
        if left is None or (job.duration or 0.0) / 60.0 <= (left.minutes or 0.0):
            return
        if await context.journal.with_content(job.content_key, IN_OUTBOX):
            return  # it is free
        # The song may have been submitted since `job` was read: then it is what took the minutes.
        latest = await context.journal.get(job.id)
        if latest is None or latest.state is not JobState.QUEUED:
            return
        words = f"{left.key} leaves too little for it."
        raise _later(503, Code.BUDGET, words, job, (left.until or 0.0) - context.now())

    async def _require_going(self, inbox: str | None) -> None:
        """Raise Fault 503 before anything is sent, where nothing could be separated now."""
        context = self._context
        if (pause := held(context, inbox)) is not None:
            wait = {"Retry-After": _whole(pause.until - context.clock()), **CLOSE}
            hint = redacted(pause.hint)
            raise Fault(503, pause.code, redacted(pause.message), hint, headers=wait)

    async def _left(self, inbox: str | None) -> Allowance | None:
        """What the tightest limit leaves; None: there is none."""
        context = self._context
        left = await context.budget.left(context.journal, context.now(), inbox)
        return None if left.minutes is None else left

    async def _instrumental(self, job: Job) -> FileAnswer:
        def found() -> tuple[int, str]:
            with opened(job) as result:
                stem = result.stem("instrumental")
                song = job.name.rpartition(".")[0] or job.name
                extension = stem.file.rpartition(".")[2]
                return result.open(stem.file), f"{song}_instrumental.{extension}"

        fd, name = await asyncio.to_thread(found)
        return FileAnswer(fd, name, cache="no-store")


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _whole(seconds: float) -> str:
    """Of a Retry-After; a pause may have no end that is known."""
    return str(max(1, round(min(seconds, _LONGEST))))


def _require_form(request: Request) -> None:
    """Raise Fault 400, Refused 413 before a byte of the song is read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise _missing()
    declared_length(request.headers, limit=MAX_FILE + OVERHEAD)


def _missing() -> Fault:
    words, hint = "missing 'audio' file", "Such as curl -F audio=@song.mp3."
    return Fault(400, "missing_audio", words, hint, headers=CLOSE)


def _wants_no_wait(request: Request) -> bool:
    preferred = request.headers.get("prefer", "").lower().replace(" ", "").split(",")
    return "respond-async" in preferred or request.query_params.get("async") == "1"


def _plain(name: str) -> str:
    """The client's name without what no inbox takes: a name is no reason to refuse a song."""
    kept = "".join(one for one in name if ord(one) >= 32 and ord(one) != 127).lstrip(".~$")
    stem, dot, extension = kept.rpartition(".")
    return f"{stem.encode()[:180].decode('utf-8', 'ignore') or 'song'}{dot}{extension}"


def _later(status: int, code: str, words: str, job: Job, seconds: float = _SOON) -> Fault:
    hint = f"Ask for it again: the same song is free then. GET songs/{job.id} has its stems."
    headers = {"Retry-After": _whole(seconds)}
    return Fault(status, code, words, hint, headers=headers, id=job.id)


def _without_stems(job: Job) -> Fault:
    code = job.code or str(job.state)
    status = 400 if rule_of(code).lasting else 500
    return Fault(status, code, job.message or "It was taken back.", job.hint or "", id=job.id)
