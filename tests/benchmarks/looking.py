"""What a benchmark looks at from within its process: memory, the loop's stalls, the load."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TICK = 0.001  # seconds


class Stalls:
    """A task that sleeps 1 ms and notes how much later than that it ran; times in ms.

    `longest` by the wall clock, which other processes on the machine lengthen; `busiest` by the
    CPU time of the loop's thread, which they don't.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self.busiest = 0.0
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Stalls:
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()

    async def watch(self) -> None:
        self._task = asyncio.create_task(self._tick())
        await asyncio.sleep(2 * TICK)

    async def _tick(self) -> None:
        while True:
            wall, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK)
            late = time.perf_counter() - wall - TICK
            self.longest = max(self.longest, late * 1000)
            self.busiest = max(self.busiest, min(late, time.thread_time() - cpu) * 1000)


def rss(pid: int | str = "self") -> float:
    """Resident memory now, MB."""
    return _status(pid, "VmRSS")


def peak(pid: int | str = "self") -> float:
    """The most resident memory since a program began, MB (`ru_maxrss` counts its parent's)."""
    return _status(pid, "VmHWM")


@contextmanager
def peak_growth() -> Iterator[Callable[[], float]]:
    """How many MB the resident memory grew at most; to be called at or after the end."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = rss()
    yield lambda: max(0.0, peak() - before)


def load() -> str:
    """The load average: how much of this machine was somebody else's."""
    one, five, _ = os.getloadavg()
    return f"load average {one:.1f} (1 min), {five:.1f} (5 min), {os.cpu_count()} cores"


def _status(pid: int | str, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)
