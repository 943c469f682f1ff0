"""The bell: tells the pool of new jobs and idle seats, and callers of jobs that have ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stemwatch.job import Job


class Listener(Protocol):
    """What the pool implements. Each call returns at once; the pool acts in its next turn."""

    def wake(self) -> None:
        """There may be something new to claim, anywhere."""

    def added(self, job: Job) -> None:
        """This job is new in the journal, or can go on."""

    def hurry(self) -> None:
        """A seat, a slot or the upload line stands idle: the next turn must not wait."""


class Bell:
    """Passes news on to the pool, and ended jobs to whoever waits for them.

    A ring before the pool exists is dropped: nothing is missed, since the pool's first turn looks
    at everything.
    """

    def __init__(self) -> None:
        self._pool: Listener | None = None
        self._at_the_end: Callable[[Job], None] | None = None

    def answered_by(self, pool: Listener) -> None:
        """Pass all news on to this pool from now on."""
        self._pool = pool

    def at_the_end(self, tell: Callable[[Job], None]) -> None:
        """Call `tell` once for each job that ended, or whose original can't be moved."""
        self._at_the_end = tell

    def wake(self) -> None:
        if self._pool is not None:
            self._pool.wake()

    def added(self, job: Job) -> None:
        if self._pool is not None:
            self._pool.added(job)

    def hurry(self) -> None:
        if self._pool is not None:
            self._pool.hurry()

    def ended(self, job: Job) -> None:
        if self._at_the_end is not None:
            self._at_the_end(job)
