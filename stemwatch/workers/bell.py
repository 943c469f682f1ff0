"""The bell: tells the pool of new jobs and idle seats, and others of jobs that ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stemwatch.job import Job


class Listener(Protocol):
    """The pool. Each call returns at once; what it means is done in the pool's next turn."""

    def wake(self) -> None:
        """There may be something new to claim, anywhere."""

    def added(self, job: Job) -> None:
        """... this one."""

    def hurry(self) -> None:
        """A seat, a slot or the line stands idle: this turn can't wait."""


class Bell:
    """Rung by whoever has news. Nothing is missed while no pool hears it yet.

    A pool's first turn looks at everything.
    """

    def __init__(self) -> None:
        self._pool: Listener | None = None
        self._at_the_end: Callable[[Job], None] | None = None

    def answered_by(self, pool: Listener) -> None:
        """From now on this pool hears it."""
        self._pool = pool

    def at_the_end(self, tell: Callable[[Job], None]) -> None:
        """`tell` hears of every job that ended, or whose original can't be moved; of each once."""
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
