"""Runs the separation server as a child process: starts it, restarts it, and ends it with us.

Imports nothing heavy: starlette and numpy stay in the child.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any

from stemwatch.codes import Code
from stemwatch.errors import AlreadyRunning, ConfigFault, StemwatchError
from stemwatch.extras import LOCAL
from stemwatch.processes import apart
from stemwatch.server.work.process import environment
from stemwatch.tasks import Broken, kept_going, supervised

START_SECONDS = 60.0  # a cold NAS with a slow disk
STOP_SECONDS = 5.0
BACKOFF = (0.2, 30.0)  # seconds: the first wait before a restart, and the longest
STEADY = 60.0  # seconds of life after which a child's death starts the waits anew
_READY = re.compile(rb"stemwatch serve: (http://\S+:(\d+)/v1) engine \S+ jobs (\d+)")


class LocalServer:
    """One server on loopback, with a random key, for as long as this process lives.

    `on_restart` is called with the base URL after each restart (the port is kept where it is still
    free). `options` are further arguments of `python -m stemwatch.server`. `broken` is told once
    for each outage why the server could not be started again; further tries follow all the same.
    """

    def __init__(
        self,
        data_dir: str,
        *,
        engine: str = "spectral",
        jobs: int | None = None,
        options: Sequence[str] = (),
        on_restart: Callable[[str], None] | None = None,
        broken: Broken,
    ) -> None:
        self._data_dir = data_dir
        self.key = secrets.token_urlsafe(32)
        self.seats = 0  # how many songs it separates at once, from its start on
        self._arguments = ["--data-dir", data_dir, "--engine", engine, *options]
        if jobs is not None:
            self._arguments += ["--jobs", str(jobs)]
        self._on_restart = on_restart
        self._broken = broken
        self._port = 0
        self._base_url = ""
        self._child: Process | None = None
        self._said: deque[str] = deque(maxlen=20)  # its last lines on standard error
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """Such as `http://127.0.0.1:40123/v1`; may change with a restart."""
        return self._base_url

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self) -> tuple[str, str]:
        """Start the server and wait until it answers; returns (base URL, key).

        Raises ConfigFault (extra missing, unknown engine, bad folder), AlreadyRunning, or
        StemwatchError `local_server` with the server's last words.
        """
        LOCAL.require()
        await self._launch()
        self._keep(kept_going(self._watch, self._broken, pause=BACKOFF[1]))
        return self._base_url, self.key

    async def stop(self) -> None:
        """End the server; the jobs that it was separating are resumed at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._child is not None:
            await _end(self._child)
            self._child = None

    async def __aenter__(self) -> LocalServer:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = supervised(work, self._broken)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _launch(self) -> None:
        # -P: a file named like a library in the user's current folder must not be imported.
        command = [sys.executable, "-P", "-m", "stemwatch.server", *self._arguments]
        command += ["--port", str(self._port), "--key-stdin", "--exit-with-stdin"]
        # Apart: Ctrl-C is for us, we may still need it to finish.
        child = await apart.start(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment())
        self._child = child
        said = self._keep(self._listen(child))
        try:
            ready = await self._handshake(child)
        except BaseException:
            await _end(child)
            raise
        if ready is None:
            # The child is about to exit: a signal now would hide the exit code that says why.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await child.wait()
            await _end(child)
            await said
            raise self._fault(child.returncode)
        self._base_url, self._port = ready[1].decode(), int(ready[2])
        self.seats = int(ready[3])

    async def _handshake(self, child: Process) -> re.Match[bytes] | None:
        """Hand over the key, out of sight of `ps`; wait for the line that says where it listens."""
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(self.key.encode() + b"\n")
            await child.stdin.drain()
            async with asyncio.timeout(START_SECONDS):
                return _READY.match(await child.stdout.readline())
        except (TimeoutError, ConnectionError):
            return None

    async def _listen(self, child: Process) -> None:
        assert child.stderr is not None
        # Not by lines: one without an end would stop the reading, then, at a full pipe, the child.
        while block := await child.stderr.read(8192):
            self._said.extend(block.decode("utf-8", "replace").splitlines())

    async def _watch(self) -> None:
        """Restart the server whenever it dies, later and later while it keeps dying."""
        loop = asyncio.get_running_loop()
        first, longest = BACKOFF
        wait = first
        told = False
        while True:
            began = loop.time()
            if self._child is not None:
                await self._child.wait()
            wait = first if loop.time() - began > STEADY else min(wait * 2, longest)
            await asyncio.sleep(wait)
            try:
                await self._launch()
            except (StemwatchError, OSError) as fault:
                self._port = 0  # another program may have taken the port meanwhile
                if not told:
                    self._broken(fault)
                told = True
                continue
            told = False
            if self._on_restart is not None:
                self._on_restart(self._base_url)

    def _fault(self, code: int | None) -> StemwatchError:
        said = [line.removeprefix("stemwatch serve: ") for line in self._said if line]
        last = said[-1] if said else "it said nothing"
        if code == 78:
            return ConfigFault(last)
        if code == 75:
            return AlreadyRunning(  # not in its own words: whoever started us has no --data-dir
                f"Another separation server works in {self._data_dir!r}.",
                hint="Wait for it, or end it; then start this again.",
            )
        return StemwatchError(
            f"The local separation server did not start: {last}", code=Code.LOCAL_SERVER
        )


async def _end(child: Process) -> None:
    """Ask the child to end, by SIGTERM and the end of its standard input; kill it after a while."""
    if child.returncode is None:
        assert child.stdin is not None
        child.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
    # Not for ever: one that begins while a share hangs is not even ended by a kill.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await child.wait()
