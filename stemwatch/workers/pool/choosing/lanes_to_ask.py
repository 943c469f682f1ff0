"""Which lanes may have new work in the journal, so that a busy pool queries only those.

Querying every lane in every turn took a tenth of the busy service's CPU time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stemwatch.codes import CONFIRM, FETCH, FILE, POLL, SUBMIT, UNPACK
from stemwatch.job import Job, JobState

# A busy pool queries all lanes at least this often, since other processes write to the journal too
# (`retry`). It also does so when it is woken and when a job becomes due.
_EVERYTHING = 1.0  # seconds

_FOR: Final = {
    JobState.SUBMITTING: CONFIRM,
    JobState.SEPARATING: POLL,
    JobState.SEPARATED: FETCH,
    JobState.DELIVERED: FILE,
    JobState.QUARANTINED: FILE,
}
# States whose jobs wait for a `not_before`; a remote job waits for its poll's own schedule.
_BY_TIME: Final = {JobState.QUEUED, *_FOR} - {JobState.SEPARATING}


class LanesToAsk:
    """The lanes that may find jobs, and when the next job is due (`due`, Unix seconds).

    `clock` gives monotonic seconds. The lane SUBMIT asks whenever it has room: what it may send
    depends on budgets and on other songs.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lanes: set[str] = set()
        self._next = clock()
        self.due: float | None = None
        self.all = True  # this turn queries all lanes

    def turn(self, now: float, *, everything: bool) -> None:
        """A turn begins at `now` (Unix seconds). With `everything` all lanes are queried."""
        due = self.due is not None and self.due <= now
        self.all = everything or due or self._clock() >= self._next
        if self.all:
            self._next = self._clock() + _EVERYTHING
            self._lanes.update(_FOR.values(), (UNPACK,))

    def left(self, job: Job, *, watched: bool) -> None:
        """A step left `job` in this state. `watched`: its polls are scheduled already."""
        if job.state in _FOR and not (watched and job.state is JobState.SEPARATING):
            self._lanes.add(_FOR[job.state])
        if job.state is JobState.QUEUED and job.at_hand:
            self._lanes.add(UNPACK)
        if job.not_before > 0.0 and job.state in _BY_TIME:
            self.due = min(job.not_before, self.due or job.not_before)

    def take(self, lane: str) -> bool:
        """Whether this lane has to query now. Clears its mark, so that later news sets it again."""
        unseen = lane in self._lanes or lane == SUBMIT
        self._lanes.discard(lane)
        return unseen

    def more(self, lane: str) -> None:
        """The lane may find more jobs than it had seats for: query again."""
        self._lanes.add(lane)
