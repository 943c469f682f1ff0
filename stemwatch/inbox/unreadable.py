"""Files and folders that can't be taken in: unreadable ones, and those our own faults hit.

Each is told once for as long as it stays so.
"""

from __future__ import annotations

from collections.abc import Container

from stemwatch.inbox.scan import Found
from stemwatch.inbox.settle import Settler
from stemwatch.log import log

_MOST = 200  # files and folders that are remembered
_FIRST, _LONGEST = 30.0, 300.0  # seconds until a fault of our own is looked for again


class Unreadable:
    """`now`: the paths of files and folders, each with the system's words."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self._before: dict[str, str] = {}

    def begin(self, followed: Container[str]) -> None:
        """A scan begins: it meets folders again; files that are `followed` are sampled apart."""
        self._before = self.now
        self.now = {path: why for path, why in self.now.items() if path in followed}

    def note(self, path: str, error: Exception) -> None:
        if path not in self.now and len(self.now) < _MOST:
            words = error.strerror if isinstance(error, OSError) else None
            self.now[path] = message = words or str(error)
            if path not in self._before:  # a locked subfolder was warned of every 30 s, for years
                log.warning("file.unreadable", path=path, message=message)

    def was_read(self, path: str) -> None:
        self.now.pop(path, None)
        self._before.pop(path, None)


class OwnFaults:
    """Faults that nobody foresaw, most likely our own: everybody's, or one file's alone?

    Nothing of the inbox is taken in for a while after the first: it would meet every file of it.
    Where others pass afterwards our code works, and the file that goes on to fail waits alone.
    """

    def __init__(self, settler: Settler, unreadable: Unreadable) -> None:
        self._settler = settler
        self._unreadable = unreadable
        self._passed = 0
        self._met: dict[str, tuple[int, int]] = {}  # by path: how many had passed, and how often
        self._rests = 0  # in a row
        self._until = 0.0

    def __contains__(self, path: object) -> bool:
        return path in self._met

    def rests(self, now: float) -> bool:
        """Whether nothing is taken in, at `now` (monotonic seconds)."""
        return now < self._until

    def passed(self, path: str) -> None:
        """This file was taken in as it should be."""
        self._passed += 1
        self._rests, self._until = 0, 0.0
        self._met.pop(path, None)

    def met(self, found: Found, fault: Exception, now: float) -> bool:
        """The file is tried again later, ever more seldom. Whether the fault is everybody's."""
        log.error("file.error", path=found.relpath, exc_info=fault)
        self._unreadable.note(found.path, fault)
        everybodys, seconds = self._judge(found.path, now)
        self._settler.later(found.path, seconds, now)
        return everybodys

    def _judge(self, path: str, now: float) -> tuple[bool, float]:
        """Whether it is everybody's, and the seconds after which this file is tried again."""
        passed, times = self._met.pop(path, (self._passed, 0))
        while len(self._met) >= _MOST:
            self._met.pop(next(iter(self._met)))
        self._met[path] = passed, times + 1
        if passed < self._passed:
            return False, _longer(times)
        if not self.rests(now):  # others were under way: the first of them told it
            self._until = now + _longer(self._rests)
            self._rests += 1
        return True, self._until - now

    def forget(self, path: str) -> None:
        """It is gone, or another file."""
        self._met.pop(path, None)


def _longer(times: int) -> float:
    return min(_FIRST * 2.0 ** min(times, 9), _LONGEST)
