"""Unforeseen faults, most likely bugs of ours: do they concern all songs, or a single one?

The first one pauses the service: a fault of ours must not go through an inbox song by song. Where
other songs pass the same step afterwards, our code works, and this song has something odd.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from stemwatch.codes import Code
from stemwatch.errors import PauseService, RetryLater
from stemwatch.job import TO_BE_FILED, Job, JobState
from stemwatch.log import log, redacted

if TYPE_CHECKING:
    from stemwatch.workers.context import Context

REPORT = "Please report it with the log of `job.error`."
_PAUSED = (
    "After an upgrade restart the service; otherwise please report it with the log of `job.error` "
    "or `file.error`. Nothing is lost or paid again."
)


class Unforeseen:
    """How many songs passed each step, and which ones met such a fault, at what count."""

    def __init__(self) -> None:
        self._passed: Counter[JobState] = Counter()
        self._met: dict[int, tuple[JobState, int]] = {}

    def passed(self, job_id: int, state: JobState) -> None:
        """The step from `state` did for this job what it should."""
        self._passed[state] += 1
        self._met.pop(job_id, None)

    def is_its_own(self, job_id: int, state: JobState) -> bool:
        """The step from `state` failed for this job: did others pass it since it first did?

        Since the first time: once the others are through, nobody is left to show it again.
        """
        passed = self._passed[state]
        before = self._met.get(job_id)
        if before is None or before[0] is not state:
            self._met[job_id] = (state, passed)
            return False
        return before[1] < passed

    def remembered(self) -> set[int]:
        """Jobs that anything is kept of."""
        return set(self._met)

    def forget(self, job_id: int) -> None:
        """The job has come to its end."""
        self._met.pop(job_id, None)


def judged(ctx: Context, job: Job, fault: Exception) -> PauseService | RetryLater:
    """What a fault without a class of ours means, told with its traceback: code `internal`.

    A song that fails where others pass is retried a few times, and then set aside: it must not hold
    up the others for good. An original that can't be filed holds up nobody anyway.
    """
    log.error("job.error", **job.named, exc_info=fault)
    if job.state in TO_BE_FILED or ctx.memory.unforeseen.is_its_own(job.id, job.state):
        return RetryLater(_words(fault), code=Code.INTERNAL, hint=REPORT)
    return as_pause(fault)


def as_pause(fault: Exception) -> PauseService:
    """The pause of everybody, until another try shows whether it is over."""
    return PauseService(_words(fault), code=Code.INTERNAL, hint=_PAUSED)


def _words(fault: Exception) -> str:
    """Nobody knows what is in its text: a library's may hold a whole signed URL."""
    return redacted(f"an unexpected fault: {type(fault).__name__}: {fault}.")
