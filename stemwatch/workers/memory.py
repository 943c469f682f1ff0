"""Per-job memory of one run: stem URLs and other facts that the journal does not hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from stemwatch.stemsplit.interface import RemoteJob
from stemwatch.workers.overtaken import Overtaken
from stemwatch.workers.pacing.unforeseen import Unforeseen


@dataclass(slots=True)
class Memory:
    """Facts by job id. A start begins without them.

    Whoever ends a job calls `forget`; otherwise a service that runs for years would grow.
    """

    # Stem URLs of jobs that a poll just found completed. They expire, so they are never on disk.
    fresh: dict[int, RemoteJob] = field(default_factory=dict)
    # Jobs whose tags crashed or hung the audio helper: their stems stay untagged.
    untagged: set[int] = field(default_factory=set)
    reported_late: set[int] = field(default_factory=set)
    # Jobs whose earlier stems are gone: their content, and the seconds that each has to pay for.
    # The journal lets them through any budget, since it takes those stems for there.
    to_be_paid: dict[int, tuple[str, float]] = field(default_factory=dict)
    unforeseen: Unforeseen = field(default_factory=Unforeseen)
    overtaken: Overtaken = field(default_factory=Overtaken)

    def remembered(self) -> set[int]:
        """Ids of the jobs that anything is remembered of."""
        kept = self.unforeseen.remembered() | self.overtaken.remembered()
        return {*self.fresh, *self.untagged, *self.reported_late, *self.to_be_paid, *kept}

    def too_dear(self, longest: float | None) -> set[int]:
        """Ids of those that have to pay for more than `longest` seconds (None: no limit)."""
        if longest is None:
            return set()
        return {job for job, (_, seconds) in self.to_be_paid.items() if seconds > longest}

    def delivered(self, content: str) -> None:
        """There are stems of this content again."""
        for job in [job for job, (other, _) in self.to_be_paid.items() if other == content]:
            del self.to_be_paid[job]

    def forget(self, job_id: int) -> None:
        """The job has come to its end."""
        self.fresh.pop(job_id, None)
        self.untagged.discard(job_id)
        self.reported_late.discard(job_id)
        self.to_be_paid.pop(job_id, None)
        self.unforeseen.forget(job_id)
        self.overtaken.forget(job_id)
