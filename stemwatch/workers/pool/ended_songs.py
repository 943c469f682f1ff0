"""Forgets what is kept in memory of songs that have ended, whoever ended them.

Not every end passes through the pool: the inbox ends a song whose file was taken back or replaced,
and commands such as `retry` are other processes. In a service that runs for years, what is kept of
those songs would pile up.
"""

from __future__ import annotations

import asyncio

from stemwatch.job import Job, JobState
from stemwatch.workers.context import Context

_AT_ONCE = 64  # songs that one look asks the journal for


def has_ended(job: Job | None) -> bool:
    """Whether nothing remains to be done for the job. None, a job not in the journal, has ended."""
    if job is None or job.state in (JobState.DONE, JobState.GONE):
        return True
    return job.state is JobState.QUARANTINED and job.filed_to is not None


def forget(ctx: Context, job_id: int) -> None:
    """Forget all that is kept in memory of a job that has ended."""
    ctx.troubles.forget(job_id)
    ctx.memory.forget(job_id)
    ctx.gate.downloads.forget(job_id)
    ctx.space.release(job_id)


class Forgetting:
    """Asks the journal from time to time whether the remembered songs have ended."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._next = 0.0
        self._last = 0  # the last id of the previous look

    async def now_and_then(self) -> None:
        """Check up to `_AT_ONCE` songs, if the last look is long enough ago."""
        ctx = self._ctx
        if ctx.clock() < self._next:
            return
        self._next = ctx.clock() + ctx.timing.retry_max
        ids = sorted(job_id for job_id in self._remembered() if job_id > self._last)[:_AT_ONCE]
        self._last = ids[-1] if len(ids) == _AT_ONCE else 0
        found = await asyncio.gather(*(ctx.journal.get(job_id) for job_id in ids))
        for job_id, job in zip(ids, found, strict=True):
            if has_ended(job):
                forget(ctx, job_id)

    def _remembered(self) -> set[int]:
        ctx = self._ctx
        remembered = {*ctx.troubles.remembered(), *ctx.memory.remembered()}
        return {*remembered, *ctx.gate.downloads.remembered(), *ctx.space}
