"""Who hears the working set's bell in a test, in place of the pool."""

from __future__ import annotations

from collections.abc import Callable

from stemwatch.job import Job


class Hears:
    """Calls `woken` where the pool would look for news; the rest is let pass."""

    def __init__(self, woken: Callable[[], object]) -> None:
        self._woken = woken

    def wake(self) -> None:
        self._woken()

    def added(self, job: Job) -> None:
        pass

    def hurry(self) -> None:
        pass
