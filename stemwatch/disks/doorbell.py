"""The doorbell: a pipe in the state folder by which a command tells the service to look now.

It carries no order, only "look into the journal": a ring that is lost costs time, never an order.
An idle service sleeps beside it. A signal would need the service's pid, which means another process
in another container.
"""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import suppress

DOORBELL = "doorbell"  # its name in the state directory
_WITHOUT = 2.0  # seconds between two looks where the disk has no pipes, such as some shares


class Doorbell:
    """The service's side. `close` ends it."""

    def __init__(self, state_dir: str) -> None:
        self._rung = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._fd = _opened(os.path.join(state_dir, DOORBELL))
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._ring)

    def close(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    async def wait(self, seconds: float) -> None:
        """Return once somebody has rung, or after so many seconds (`inf`: never)."""
        most = seconds if self._fd is not None else min(seconds, _WITHOUT)
        with suppress(TimeoutError):
            async with asyncio.timeout(None if most == float("inf") else most):
                await self._rung.wait()
        self._rung.clear()

    def ring(self) -> None:
        """What the service itself has changed is to be looked at."""
        self._rung.set()

    def _ring(self) -> None:
        assert self._fd is not None
        with suppress(BlockingIOError):
            os.read(self._fd, 4096)
        self.ring()


def ring(state_dir: str) -> None:
    """Have the service look now; does nothing where none listens."""
    with suppress(OSError):  # no service, no bell: it looks at its start
        fd = os.open(os.path.join(state_dir, DOORBELL), _FLAGS | os.O_WRONLY)
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, b".")
        finally:
            os.close(fd)


_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW


def _opened(path: str) -> int | None:
    """The pipe, made if need be; None where there can be none."""
    try:
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # For writing too: a pipe without any writer would be readable at every moment.
        fd = os.open(path, _FLAGS | os.O_RDWR)
    except OSError:
        return None
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None
