"""One helper process and its pipes: started, asked one thing at a time, ended.

Imports neither PyAV nor numpy: they stay in the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from stemwatch.processes.apart import start

# -P: a file named json.py beside the songs must not be imported.
_COMMAND = (sys.executable, "-P", "-m", "stemwatch.audio")
_LONGEST_ANSWER = 1 << 20  # bytes
_END_SECONDS = 5.0
_SECRETS = frozenset({"STEMSPLIT_API_KEY", "STEMWATCH_SERVE_KEY", "CREDENTIALS_DIRECTORY"})


class Helper:
    """One process and its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.stdin, self.stdout = process, process.stdin, process.stdout
        self.timer: asyncio.TimerHandle | None = None
        self._noted = 0.0

    @classmethod
    async def start(cls) -> Helper:
        """OSError where there is no memory for one more, or no process."""
        return cls(
            await start(  # apart: once it is at work, Ctrl-C is for the service, which drains
                _COMMAND,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                limit=_LONGEST_ANSWER,
            )
        )

    def alive(self) -> bool:
        return self.process.returncode is None and not self.stdout.at_eof()

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def note_cpu(self) -> None:
        """Note the CPU time that it has used so far, for `cpu_since_noted`."""
        self._noted = self._cpu_seconds()

    def cpu_since_noted(self) -> float:
        """In seconds; 0 where that can't be told."""
        return self._cpu_seconds() - self._noted

    def _cpu_seconds(self) -> float:
        # As clock_getcpuclockid(3) does. A read of /proc/PID/stat may wait for as long as the
        # helper's start does, while a share hangs.
        try:
            return time.clock_gettime(~self.process.pid << 3 | 2)
        except OSError:
            return 0.0

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
        try:
            line = await self.stdout.readline()
        except ValueError as fault:  # it is too long: no fault that everybody has to wait for
            raise EOFError("the helper said too much") from fault
        if not line.endswith(b"\n"):
            raise EOFError("the helper ended")
        return json.loads(line)


def _environment() -> dict[str, str]:
    """Ours without the keys: a decoder has no use for them, and its own account may look at it."""
    return {name: value for name, value in os.environ.items() if name not in _SECRETS}
