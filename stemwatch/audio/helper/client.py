"""The service's side of the audio helper: ask for a probe, a check, tags or a mix.

Imports neither PyAV nor numpy: helpers start on demand, end when idle, and end with the service.
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stemwatch.audio.helper.groups import Groups
from stemwatch.audio.helper.growth import Growth
from stemwatch.audio.helper.helpers import Helpers, NotWorking, result
from stemwatch.audio.results import Measures, MixResult, Prepared, Probe, StemTag
from stemwatch.codes import Code
from stemwatch.errors import Reject, StemwatchError
from stemwatch.extras import installed

# Refusals that may as well be ours: looked into each time. Others only until a helper has shown
# that it works.
_DOUBTFUL = frozenset({Code.DECODER_CRASHED, Code.INTERNAL})
_GROUP_SECONDS = 60.0  # a disk that is slower than that is asked for one file at a time
_TEST_SECONDS = 60.0  # a cold NAS with a slow disk
_MEND_PLACE = (
    "Make room there, and see that it can be written to: work goes on by itself. Or set TMPDIR to "
    "another folder, and start again. No song is to blame."
)


class AudioHelper:
    """Up to two processes with one request each at a time; more requests wait, first come
    first served.

    A file is refused only by a helper that works: before the first refusal, and before each that
    may be a fault of our own, a fresh one has to pass its test. One that can't start, or fails
    that, raises PauseService(code="audio_helper") until `test` passes: no file is to blame.
    A helper ends after `idle` seconds without work. A request that takes longer than `timeout`
    seconds, or whose helper dies, raises Reject(code="decoder_crashed"), or OSError (ETIMEDOUT) if
    it did nothing but wait for a disk. The next one gets a fresh process; a cancelled request ends
    its helper at once.
    """

    def __init__(self, *, idle: float = 30.0, timeout: float = 600.0) -> None:
        self._helpers, self._timeout = Helpers(idle), timeout
        self._groups = Groups(self._probe_group)
        self._testing = asyncio.Lock()
        self._long = asyncio.Lock()
        self._tests = 0  # so far
        self._works = False  # a helper has answered well, or passed its test
        # Why the last test failed, and what mends that; empty while helpers may be asked.
        self._fault: tuple[str, ...] = ()

    async def probe(self, path: str, *, small: bool = False) -> Probe:
        """See `audio.stem_file.recognising.probe_song`, of any song: raises its Reject codes,
        OSError, and `decoder_crashed`.

        `small`: the file takes milliseconds, so it may share a request with others.
        """
        if small:
            self.require_working()
            answer = await self._groups.answer(path)
            if answer is not None and "result" in answer:
                return Probe(**answer["result"])
        return Probe(**await self._ask(path, op="probe", path=path))

    async def verify(self, path: str, expected: float | None, format: str | None) -> Probe:
        """See `audio.verify.verify`: Reject `bad_stem` where it isn't what was asked for."""
        answer = await self._ask(path, op="verify", path=path, expected=expected, format=format)
        return Probe(**answer)

    async def tag(
        self,
        src_path: str,
        files: Mapping[str, StemTag],
        format: str,
        bpm: float | None,
        key: str | None,
        *,
        whole: bool = False,
        serato: bool = False,
        afresh: bool = False,
    ) -> list[str]:
        """Copy the song's tags into stems (by path), in place; notes say what couldn't be.

        `src_path` is empty where there is no song to read. `key` is musical and short, such as
        `C#m`; `whole`: the tempo is rounded; `serato`: Serato's cue points go along; `afresh`:
        tags that the stems have already are removed.

        Fsync the stems afterwards. A kill in the midst, or a Reject, may leave a stem half shifted:
        fetch it again then. OSError on a full disk.
        """
        return list(
            await self._ask(
                src_path,
                op="tag",
                source=src_path,
                files={path: asdict(own) for path, own in files.items()},
                format=format,
                bpm=bpm,
                key=key,
                whole=whole,
                serato=serato,
                afresh=afresh,
            )
        )

    async def tags(self, path: str) -> dict[str, list[str]]:
        """The song's own tags by name (`audio.tagging.song_tags`), of all that can be read.

        The first 10 values of a name, and 400 letters of each. OSError on a disk that fails.
        """
        found: dict[str, list[str]] = await self._ask(path, op="tags", path=path)
        return found

    async def mix(
        self,
        inputs: Sequence[str],
        out: str,
        format: str,
        factors: Sequence[float] | None = None,
        *,
        tell: Callable[[], None] | None = None,
    ) -> MixResult:
        """See `audio.mix.mix`: writes the sum of `inputs` to `out`. OSError on a full disk.

        `tell`: it may take for as long as `out` grows, in turn with stem files (see `stem_file`).
        Without it somebody waits, and the time is the usual one.
        """
        given: dict[str, Any] = {"inputs": list(inputs), "out": out, "format": format}
        given["factors"] = None if factors is None else list(factors)
        if tell is None:
            return MixResult(**await self._ask(out, op="mix", **given))
        async with self._long:
            return MixResult(**await self._ask(out, grows=Growth(out, tell), op="mix", **given))

    async def stem_file(
        self, stems: Mapping[str, str], out: str, codec: str, *, tell: Callable[[], None]
    ) -> None:
        """See `audio.stem_file.making.make`: writes `out` from `stems`, for as long as it grows.

        `tell` is called meanwhile. One at a time, mixes with `tell` among them: of a long song it
        takes minutes, and the other helper stays free for what is short.
        """
        given = {"stems": dict(stems), "out": out, "codec": codec}
        async with self._long:
            await self._ask(out, grows=Growth(out, tell), op="stem_file", **given)

    async def prepare(self, source: str, target: str, *, tell: Callable[[], None]) -> Prepared:
        """See `audio.preparing.exact_flac.prepare`: writes the song as FLAC, for as long as it
        grows. `tell` is called meanwhile. OSError: disk full."""
        given = {"source": source, "target": target}
        grows = Growth(target, tell)
        return Prepared(**await self._ask(source, grows=grows, op="prepare", **given))

    async def unpack(
        self, path: str, stem: str, out: str, format: str, *, tell: Callable[[], None]
    ) -> None:
        """See `audio.stem_file.unpacking.unpack`: writes one stem of a stem file to `out`, for as
        long as it grows. `tell` is called meanwhile."""
        given = {"path": path, "stem": stem, "out": out, "format": format}
        await self._ask(path, grows=Growth(out, tell), op="unpack", **given)

    async def measure(self, path: str, columns: int) -> Measures:
        """See `audio.meters.measures.measure`: loudness, true peak, share that sounds, waveform."""
        answer = await self._ask(path, op="measure", path=path, columns=columns)
        return Measures(**answer | {"waveform": base64.b64decode(answer["waveform"])})

    async def peaks(self, path: str, columns: int) -> bytes:
        """See `audio.meters.waveform.peaks`: a waveform to draw, pairs of int8."""
        return base64.b64decode(await self._ask(path, op="peaks", path=path, columns=columns))

    async def preview(self, path: str, start: float, seconds: float, lead: float) -> bytes:
        """See `audio.previews.preview`: a piece of the song as Ogg Opus."""
        span: dict[str, Any] = {"start": start, "seconds": seconds, "lead": lead}
        return base64.b64decode(await self._ask(path, op="preview", path=path, **span))

    async def test(self) -> None:
        """Have a fresh helper encode and decode a second of made sound.

        Raises PauseService(code="audio_helper") where it can't. Those who ask while a test is
        under way share its outcome.
        """
        before = self._tests
        async with self._testing:
            if self._tests == before:
                self._fault = await self._tested()
                self._works = not self._fault
                self._tests += 1
        self.require_working()

    def require_working(self) -> None:
        """Raise PauseService while the last test failed: nothing has to be read to know that."""
        if self._fault:
            raise NotWorking(*self._fault)

    async def close(self) -> None:
        """End every helper, working or not, and wait until they are gone."""
        self._groups.cancel()
        await self._helpers.close()

    async def _probe_group(self, paths: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        request = {"op": "probes", "paths": list(paths)}
        answer = await self._helpers.request(paths[0], request, min(self._timeout, _GROUP_SECONDS))
        found: Sequence[Mapping[str, Any]] = result(answer, paths[0])
        self._works = self._works or any("result" in one for one in found)
        return found

    async def _ask(self, subject: str, *, grows: Growth | None = None, **request: Any) -> Any:
        """The answer; a refusal only of a file that is to blame. `grows`: what may take longer."""
        self.require_working()
        try:
            return await self._answered(subject, request, grows)
        except Reject as fault:
            if self._works and fault.code not in _DOUBTFUL:
                raise
            await self.test()
            if fault.code != Code.INTERNAL:
                raise
        except NotWorking:
            await self.test()
        # By a fresh helper: an older one may have loaded half of a version that is replaced.
        return await self._answered(subject, request, grows)

    async def _answered(
        self, subject: str, request: Mapping[str, Any], grows: Growth | None
    ) -> Any:
        asked = self._helpers.request(subject, request, self._timeout, grows=grows)
        answer = result(await asked, subject)
        self._works = True
        return answer

    async def _tested(self) -> tuple[str, ...]:
        """Why a fresh helper fails its test, and what mends that; empty where it passes."""
        self._helpers.retire_idle()
        try:
            # Ours to remove: a helper that crashes would leave one behind each time.
            with tempfile.TemporaryDirectory(prefix="stemwatch-test-") as folder:
                request = {"op": "test", "folder": folder}
                answer = await self._helpers.request(
                    "a made sound", request, _TEST_SECONDS, fresh=True
                )
                result(answer, folder)
        except TimeoutError:
            return ("a made sound took too long",)
        except OSError as fault:
            place = tempfile.tempdir or "the folder for temporary files"  # None: there is none
            return f"{fault.strerror or fault} in {place}", _MEND_PLACE
        except StemwatchError as fault:
            why = fault.why if isinstance(fault, NotWorking) else fault.message.rstrip(".")
            return (f"{why} (with {installed('av', 'numpy', 'mutagen')})",)
        return ()
