"""Files and folders that can't be taken in: unreadable ones, and those our own faults hit.

Each one is logged once for as long as it stays unreadable.
"""

from __future__ import annotations

from collections.abc import Container

from stemwatch.inbox.scan import Found
from stemwatch.inbox.settle import Settler
from stemwatch.log import log

_MOST = 200  # files and folders that are remembered
_FIRST, _LONGEST = 30.0, 300.0  # seconds until a file is tried again after a fault of our own


class Unreadable:
    """`now` holds the paths of unreadable files and folders, each with the error's message."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self._before: dict[str, str] = {}

    def begin(self, followed: Container[str]) -> None:
        """A scan begins: it will note unreadable folders again. `followed` files are kept."""
        self._before = self.now
        self.now = {path: why for path, why in self.now.items() if path in followed}

    def note(self, path: str, error: Exception) -> None:
        if path not in self.now and len(self.now) < _MOST:
            words = error.strerror if isinstance(error, OSError) else None
            self.now[path] = message = words or str(error)
            if path not in self._before:  # or a locked subfolder is warned of every 30 s
                log.warning("file.unreadable", path=path, message=message)

    def was_read(self, path: str) -> None:
        self.now.pop(path, None)
        self._before.pop(path, None)


class OwnFaults:
    """Unforeseen faults, most likely bugs of ours: do they concern all files, or a single one?

    After the first, no file of the inbox is taken in for a while: each might meet it. If other
    files pass afterwards, our code works, and the file that still fails waits alone.
    """

    def __init__(self, settler: Settler, unreadable: Unreadable) -> None:
        self._settler = settler
        self._unreadable = unreadable
        self._passed = 0
        # By path: how many files had passed when it first failed, and how often it failed.
        self._met: dict[str, tuple[int, int]] = {}
        self._rests = 0  # rests in a row
        self._until = 0.0

    def __contains__(self, path: object) -> bool:
        return path in self._met

    def rests(self, now: float) -> bool:
        """Whether no file is taken in at `now` (monotonic seconds)."""
        return now < self._until

    def passed(self, path: str) -> None:
        """This file was taken in."""
        self._passed += 1
        self._rests, self._until = 0, 0.0
        self._met.pop(path, None)

    def met(self, found: Found, fault: Exception, now: float) -> bool:
        """Log the fault and try the file again later. Returns whether it concerns all files."""
        log.error("file.error", path=found.relpath, exc_info=fault)
        self._unreadable.note(found.path, fault)
        everybodys, seconds = self._judge(found.path, now)
        self._settler.later(found.path, seconds, now)
        return everybodys

    def _judge(self, path: str, now: float) -> tuple[bool, float]:
        """Whether the fault concerns all files, and the seconds until this file is tried again."""
        passed, times = self._met.pop(path, (self._passed, 0))
        while len(self._met) >= _MOST:
            self._met.pop(next(iter(self._met)))
        self._met[path] = passed, times + 1
        if passed < self._passed:
            return False, _longer(times)
        if not self.rests(now):  # files that were under way when the rest began don't prolong it
            self._until = now + _longer(self._rests)
            self._rests += 1
        return True, self._until - now

    def forget(self, path: str) -> None:
        """The file is gone, or was replaced."""
        self._met.pop(path, None)


def _longer(times: int) -> float:
    return min(_FIRST * 2.0 ** min(times, 9), _LONGEST)
