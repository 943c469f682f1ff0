"""The server's credit: one for each second of audio, taken at the submission.

The sum over the jobs on disk is what was spent. So it is the same after a restart, and a job that
is deleted after its time gives its credits back.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from stemwatch.receiving.refusal import Refused
from stemwatch.server.work.store import Store

UNLIMITED = 1_000_000_000  # seconds, 31 years: the wire can't say "no limit"


def credits_for(seconds: float) -> int:
    return ceil(seconds)


@dataclass(frozen=True, slots=True)
class Credit:
    """What may be separated: `limit` in seconds of audio; None: no limit."""

    store: Store
    limit: int | None

    def balance(self) -> int:
        """Seconds that are left."""
        if self.limit is None:
            return UNLIMITED
        return max(0, self.limit - sum(record.credits for record in self.store.all()))

    def check(self, required: int) -> None:
        """Refused with 402 when `required` seconds are more than what is left."""
        left = self.balance()
        if required > left:
            raise Refused(
                402,
                f"Not enough credits for this job: it needs {required} s, {left} s are left.",
                code="INSUFFICIENT_CREDITS",
                requiredSeconds=required,
            )
