"""The credit of each caller: one for each second of audio, taken at the submission.

The sum over the jobs that are kept is what was spent. So it is the same after a restart, and a job
that is deleted after its time gives its credits back.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from stemwatch.receiving.refusal import Refused
from stemwatch.server.http.keyholders import Caller
from stemwatch.server.work.records import Records

UNLIMITED = 1_000_000_000  # seconds, 31 years: the wire can't say "no limit"


def credits_for(seconds: float) -> int:
    return ceil(seconds)


@dataclass(frozen=True, slots=True)
class Credit:
    """What may be separated: `limit` in seconds of audio of each caller; None: no limit."""

    records: Records
    limit: int | None

    def allowance(self, caller: Caller) -> int | None:
        """Seconds in all; None: no limit."""
        return self.limit if caller.credits is None else caller.credits

    async def balance(self, caller: Caller) -> int:
        """Seconds that are left."""
        allowance = self.allowance(caller)
        if allowance is None:
            return UNLIMITED
        return max(0, allowance - await self.records.spent(caller.name))


def not_enough(required: int, left: int) -> Refused:
    """The answer 402 to a job that needs `required` seconds when `left` are left."""
    return Refused(
        402,
        f"Not enough credits for this job: it needs {required} s, {left} s are left.",
        code="INSUFFICIENT_CREDITS",
        requiredSeconds=required,
    )
