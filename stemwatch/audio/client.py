"""The service's side of the audio helper: ask for a probe, a check, tags or a mix.

Imports neither PyAV nor numpy: helpers start on demand, end when idle, and end with the service.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from stemwatch.audio.results import MixResult, Probe
from stemwatch.errors import PauseService, Reject

# -P: a file named json.py beside the songs must not be imported.
_COMMAND = (sys.executable, "-P", "-m", "stemwatch.audio")
_LONGEST_ANSWER = 1 << 20  # bytes
_END_SECONDS = 5.0
_SECRETS = frozenset({"STEMSPLIT_API_KEY", "STEMWATCH_SERVE_KEY", "CREDENTIALS_DIRECTORY"})


class AudioHelper:
    """Up to `helpers` processes with one request each at a time; more requests wait, first come
    first served.

    One that can't start raises PauseService(code="audio_helper"): no file is to blame.
    A helper ends after `idle` seconds without work. A request that takes longer than `timeout`
    seconds, or whose helper dies, raises Reject(code="decoder_crashed"), or OSError (ETIMEDOUT) if
    it did nothing but wait for a disk. The next one gets a fresh process; a cancelled request ends
    its helper at once.
    """

    def __init__(self, *, helpers: int = 2, idle: float = 30.0, timeout: float = 600.0) -> None:
        self._seats = asyncio.Semaphore(helpers)
        self._idle_seconds, self._timeout = idle, timeout
        self._free: deque[_Helper] = deque()
        self._all: set[_Helper] = set()

    async def probe(self, path: str) -> Probe:
        """See `audio.probe.probe`: raises its Reject codes, OSError, and `decoder_crashed`."""
        return Probe(**await self._ask(path, op="probe", path=path))

    async def verify(self, path: str, expected: float | None, format: str | None) -> Probe:
        """See `audio.verify.verify`: Reject `bad_stem` where it isn't what was asked for."""
        answer = await self._ask(path, op="verify", path=path, expected=expected, format=format)
        return Probe(**answer)

    async def tag(
        self,
        src_path: str,
        files: Mapping[str, str],
        format: str,
        bpm: float | None,
        key: str | None,
    ) -> list[str]:
        """Copy the song's tags into stems (path -> title), in place; notes say what couldn't be.

        `src_path` is empty where there is no song to read. `key` is musical and short, such as
        `C#m`. Fsync the stems afterwards. A kill in the midst may leave a stem half shifted: fetch
        it again then. OSError on a full disk.
        """
        return list(
            await self._ask(
                src_path,
                op="tag",
                source=src_path,
                files=dict(files),
                format=format,
                bpm=bpm,
                key=key,
            )
        )

    async def mix(self, inputs: Sequence[str], out: str, format: str) -> MixResult:
        """See `audio.mix.mix`: writes the sum of `inputs` to `out`. OSError on a full disk."""
        answer = await self._ask(out, op="mix", inputs=list(inputs), out=out, format=format)
        return MixResult(**answer)

    async def close(self) -> None:
        """End every helper, working or not, and wait until they are gone."""
        helpers = list(self._all)
        self._free.clear()
        self._all.clear()
        for helper in helpers:
            helper.kill()
        for helper in helpers:
            await helper.end()

    async def _ask(self, subject: str, **request: Any) -> Any:
        async with self._seats:
            helper = self._take_free() or await self._start()
            cpu = helper.cpu_seconds()
            try:
                async with asyncio.timeout(self._timeout):  # wait_for would cost a task each
                    if not await helper.takes(request):  # it died while idle: not this file's fault
                        await self._end(helper)
                        helper = await self._start()
                        if not await helper.takes(request):
                            raise _broken("it ended before it took any work")
                    answer = await helper.answer()
            except (TimeoutError, EOFError, ConnectionError) as fault:
                waited = isinstance(fault, TimeoutError) and (
                    helper.cpu_seconds() - cpu < max(1.0, self._timeout / 10)
                )
                await self._end(helper)
                if waited:  # for a disk that hangs: no file is to blame
                    raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), subject) from fault
                raise _crashed(subject, fault, self._timeout) from fault
            except BaseException:  # cancelled: its answer would be taken for the next request's
                await self._end(helper)
                raise
            self._put_free(helper)
        return _result(answer, subject)

    def _take_free(self) -> _Helper | None:
        """The one used last, so that the others become idle; one that died meanwhile is dropped."""
        while self._free:
            helper = self._free.pop()
            if helper.alive():
                helper.stop_timer()
                return helper
            self._all.discard(helper)
        return None

    def _put_free(self, helper: _Helper) -> None:
        if helper in self._all:  # else it was closed meanwhile
            self._free.append(helper)
            loop = asyncio.get_running_loop()
            helper.timer = loop.call_later(self._idle_seconds, self._retire, helper)

    def _retire(self, helper: _Helper) -> None:
        self._free.remove(helper)
        helper.stdin.close()  # the end of its input ends it; until then `close` has to know it

    async def _start(self) -> _Helper:
        try:
            process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                limit=_LONGEST_ANSWER,
                start_new_session=True,  # Ctrl-C is for the service, which drains
            )
        except OSError as fault:  # no memory, too many processes: no file's fault either
            raise _broken(str(fault)) from fault
        self._all = {one for one in self._all if one.process.returncode is None}  # retired ones
        helper = _Helper(process)
        self._all.add(helper)
        return helper

    async def _end(self, helper: _Helper) -> None:
        self._all.discard(helper)
        helper.kill()
        await helper.end()


class _Helper:
    """One process and its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.stdin, self.stdout = process, process.stdin, process.stdout
        self.timer: asyncio.TimerHandle | None = None

    def alive(self) -> bool:
        return self.process.returncode is None and not self.stdout.at_eof()

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def cpu_seconds(self) -> float:
        """That it has used so far; 0 where that can't be told."""
        try:
            # asked with every request: as text it would cost four times as much
            with open(f"/proc/{self.process.pid}/stat", "rb", buffering=0) as stat:
                after_name = stat.read(4096).rpartition(b")")[2]
        except OSError:
            return 0.0
        return sum(map(int, after_name.split()[11:13])) / os.sysconf("SC_CLK_TCK")

    async def end(self) -> None:
        """Wait until it is gone; not for ever: on a share that hangs not even a kill ends it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self.process.wait()

    def kill(self) -> None:
        self.stop_timer()
        if self.process.returncode is None:
            self.process.kill()
        self.stdin.close()

    async def takes(self, request: Mapping[str, Any]) -> bool:
        """Hand the request over; False where the helper was gone before it began to work."""
        # ensure_ascii (the default) carries the surrogates of a name that isn't UTF-8
        self.stdin.write(json.dumps(request).encode("ascii") + b"\n")
        try:
            await self.stdin.drain()
            return await self.stdout.readline() == b"\n"
        except ConnectionError:
            return False

    async def answer(self) -> Any:
        line = await self.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the helper ended")
        return json.loads(line)


def _result(answer: Mapping[str, Any], subject: str) -> Any:
    """The answer's value, or its error raised again as what it was in the helper."""
    if "result" in answer:
        return answer["result"]
    if answer["error"] == "OSError":
        raise OSError(answer["errno"], answer["message"], subject)
    raise Reject(answer["message"], code=answer["code"], hint=answer["hint"])


def _crashed(subject: str, fault: BaseException, timeout: float) -> Reject:
    slow = isinstance(fault, TimeoutError)
    what = f"kept the decoder busy for over {timeout:g} s" if slow else "made the decoder crash"
    return Reject(
        f"{os.path.basename(subject)!r} {what}.",
        code="decoder_crashed",
        hint="Re-save it in an audio editor and drop that file, or `stemwatch retry` if the "
        "machine was short of memory.",
    )


def _environment() -> dict[str, str]:
    """Ours without the keys: a decoder has no use for them, and its own account may look at it."""
    return {name: value for name, value in os.environ.items() if name not in _SECRETS}


def _broken(why: str) -> PauseService:
    return PauseService(
        f"The audio helper can't be started: {why}.",
        code="audio_helper",
        hint=f"Run `{' '.join(_COMMAND)} < /dev/null` to see why; if a package is missing, "
        "install stemwatch again.",
    )
