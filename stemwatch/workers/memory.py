"""Per-job memory of one run: stem URLs and other facts that the journal does not hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from stemwatch.stemsplit.interface import RemoteJob
from stemwatch.workers.pacing.unforeseen import Unforeseen


@dataclass(slots=True)
class Memory:
    """By job id. Who ends a job has it forgotten: else a service that runs for years would grow."""

    # Fresh stem URLs of jobs that were just seen completed: they expire, so never on disk.
    fresh: dict[int, RemoteJob] = field(default_factory=dict)
    untagged: set[int] = field(default_factory=set)  # whose tags ended the audio helper
    reported_late: set[int] = field(default_factory=set)
    unforeseen: Unforeseen = field(default_factory=Unforeseen)

    def remembered(self) -> set[int]:
        """Jobs that anything is kept of."""
        kept = self.unforeseen.remembered()
        return {*self.fresh, *self.untagged, *self.reported_late, *kept}

    def forget(self, job_id: int) -> None:
        """The job has come to its end."""
        self.fresh.pop(job_id, None)
        self.untagged.discard(job_id)
        self.reported_late.discard(job_id)
        self.unforeseen.forget(job_id)
