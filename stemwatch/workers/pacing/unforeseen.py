"""Unforeseen faults, most likely bugs of ours: do they concern all songs, or a single one?

The first such fault pauses the service: a bug must not fail an inbox song by song. If other songs
pass the same step afterwards, our code works and something about this one song is odd.
"""

from __future__ import annotations

from collections import Counter

from stemwatch.codes import Code
from stemwatch.errors import PauseService, RetryLater
from stemwatch.job import TO_BE_FILED, Job, JobState
from stemwatch.log import log, redacted

REPORT = "Please report it with the log of `job.error`."
_PAUSED = (
    "After an upgrade restart the service; otherwise please report it with the log of `job.error` "
    "or `file.error`. Nothing is lost or paid again."
)


class Unforeseen:
    """Counts the songs that passed each step, and notes that count when a song meets a fault."""

    def __init__(self) -> None:
        self._passed: Counter[JobState] = Counter()
        self._met: dict[int, tuple[JobState, int]] = {}

    def passed(self, job_id: int, state: JobState) -> None:
        """The step from `state` succeeded for this job."""
        self._passed[state] += 1
        self._met.pop(job_id, None)

    def is_its_own(self, job_id: int, state: JobState) -> bool:
        """The step from `state` failed for this job. Have others passed it since its first failure?

        The count is from the first failure, not from the last: once all other songs are through,
        none is left that could pass the step again.
        """
        passed = self._passed[state]
        before = self._met.get(job_id)
        if before is None or before[0] is not state:
            self._met[job_id] = (state, passed)
            return False
        return before[1] < passed

    def overtaken(self) -> dict[int, JobState]:
        """Jobs that failed where others have passed since: their next fault is their own."""
        return {
            job_id: state
            for job_id, (state, before) in self._met.items()
            if before < self._passed[state]
        }

    def remembered(self) -> set[int]:
        """Ids of the jobs that anything is remembered of."""
        return set(self._met)

    def forget(self, job_id: int) -> None:
        """The job has come to its end."""
        self._met.pop(job_id, None)


def judged(unforeseen: Unforeseen, job: Job, fault: Exception) -> PauseService | RetryLater:
    """Log an exception that is no StemwatchError, and turn it into one with code `internal`.

    A song that fails where others pass gets RetryLater: it is retried a few times and then set
    aside, so that it can't hold up the others for good. So does a song whose original can't be
    filed, which holds up nobody. Any other fault pauses everybody.
    """
    log.error("job.error", **job.named, exc_info=fault)
    if job.state in TO_BE_FILED or unforeseen.is_its_own(job.id, job.state):
        return RetryLater(_words(fault), code=Code.INTERNAL, hint=REPORT)
    return as_pause(fault)


def as_pause(fault: Exception) -> PauseService:
    """The pause of everybody, which lasts until another try succeeds."""
    return PauseService(_words(fault), code=Code.INTERNAL, hint=_PAUSED)


def _words(fault: Exception) -> str:
    """The fault's text, redacted: a library's message may hold a whole signed URL."""
    return redacted(f"an unexpected fault: {type(fault).__name__}: {fault}.")
