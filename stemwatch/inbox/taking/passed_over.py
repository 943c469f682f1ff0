"""What scans pass over although it looks like music: logged once it has lain there a minute."""

from __future__ import annotations

import time
from collections.abc import Callable

from stemwatch.log import log

_NEW = 60.0  # seconds: a download that is renamed soon, or a file that is dropped by mistake
_MOST = 500  # files that are remembered


class PassedOver:
    """The files that the scans of one inbox pass over, each with when it was first seen.

    `status` scans for itself, and has all of them with more about each.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: dict[str, float] = {}
        self._now: dict[str, float] = {}
        self._told: set[str] = set()

    def begin(self) -> None:
        """A scan of everything begins: what it does not meet again is gone, or was taken."""
        self._before, self._now = self._now, {}
        self._told &= self._before.keys()

    def note(self, relpath: str, why: str) -> None:
        """A scan passed over this file. One line tells of it, when it is seen a minute later."""
        now = self._clock()
        since = self._now.get(relpath, self._before.get(relpath, now))
        if relpath in self._now or len(self._now) < _MOST:
            self._now[relpath] = since
            if now - since >= _NEW and relpath not in self._told:
                self._told.add(relpath)
                log.info("file.passed_over", path=relpath, message=why)
