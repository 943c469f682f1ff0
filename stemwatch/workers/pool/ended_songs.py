"""Forgets what is kept in memory of songs that have ended, whoever ended them.

The inbox closes a song whose file was taken back or replaced, and commands are other processes. A
service runs for years: what is kept for each of these would never be given back.
"""

from __future__ import annotations

import asyncio

from stemwatch.job import Job, JobState
from stemwatch.workers.context import Context

_AT_ONCE = 64  # songs that the journal is asked for at a time


def has_ended(job: Job | None) -> bool:
    """Whether nothing more is to be done for it; None: the journal does not know it."""
    if job is None or job.state in (JobState.DONE, JobState.GONE):
        return True
    return job.state is JobState.QUARANTINED and job.filed_to is not None


def forget(ctx: Context, job_id: int) -> None:
    """The job has come to its end."""
    ctx.troubles.forget(job_id)
    ctx.memory.forget(job_id)
    ctx.space.release(job_id)


class Forgetting:
    """Looks now and then whether songs that something is remembered of have ended."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._next = 0.0
        self._last = 0  # the id that was looked at last

    async def now_and_then(self) -> None:
        """One look at a few of them, if it is time for one."""
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
        return {*ctx.troubles.remembered(), *ctx.memory.remembered(), *ctx.space}
