"""Which lanes may have new work in the journal, so that a busy pool queries only those.

Asking for everything at every turn cost a tenth of the service's CPU at work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stemwatch.codes import CONFIRM, FETCH, FILE, POLL, SUBMIT
from stemwatch.job import Job, JobState

# A pool that turns all the time looks at everything this often, whatever its steps left: others
# write too (`retry`). Whoever wakes it, and time, have it look at everything as well.
_EVERYTHING = 1.0  # seconds

_FOR: Final = {
    JobState.SUBMITTING: CONFIRM,
    JobState.SEPARATING: POLL,
    JobState.SEPARATED: FETCH,
    JobState.DELIVERED: FILE,
    JobState.QUARANTINED: FILE,
}
# A poll has its own schedule.
_BY_TIME: Final = {JobState.QUEUED, *_FOR} - {JobState.SEPARATING}


class Unseen:
    """The lanes that may find jobs, and when the next one is due (`due`, Unix seconds).

    `clock` gives monotonic seconds. Uploads are not among them: what may be sent depends on budgets
    and on other songs, so that lane asks whenever it has room.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lanes: set[str] = set()
        self._next = clock()
        self.due: float | None = None
        self.all = True  # this turn looks at everything

    def turn(self, now: float, *, everything: bool) -> None:
        """A turn begins, at `now` (Unix seconds)."""
        due = self.due is not None and self.due <= now
        self.all = everything or due or self._clock() >= self._next
        if self.all:
            self._next = self._clock() + _EVERYTHING
            self._lanes.update(_FOR.values())

    def left(self, job: Job, *, watched: bool) -> None:
        """A step left the job like this; `watched`: at the remote, and somebody asks for it."""
        if job.state in _FOR and not (watched and job.state is JobState.SEPARATING):
            self._lanes.add(_FOR[job.state])
        if job.not_before > 0.0 and job.state in _BY_TIME:
            self.due = min(job.not_before, self.due or job.not_before)

    def take(self, lane: str) -> bool:
        """Whether this lane is to ask now. What comes while it asks is new again."""
        unseen = lane in self._lanes or lane == SUBMIT
        self._lanes.discard(lane)
        return unseen

    def more(self, lane: str) -> None:
        """It had no seat for all there may be."""
        self._lanes.add(lane)
