"""Per-job memory of one run: stem URLs and other facts that the journal does not hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from stemwatch.stemsplit.interface import RemoteJob
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
    unforeseen: Unforeseen = field(default_factory=Unforeseen)

    def remembered(self) -> set[int]:
        """Ids of the jobs that anything is remembered of."""
        kept = self.unforeseen.remembered()
        return {*self.fresh, *self.untagged, *self.reported_late, *kept}

    def forget(self, job_id: int) -> None:
        """The job has come to its end."""
        self.fresh.pop(job_id, None)
        self.untagged.discard(job_id)
        self.reported_late.discard(job_id)
        self.unforeseen.forget(job_id)
