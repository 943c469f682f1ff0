"""quarantined -> back at work: `retry` asked for a song whose original is not moved yet.

The command is another process, which must not touch a file that the service may be moving. So it
leaves a request in the journal, and the service takes the song up where it lies.
"""

from __future__ import annotations

import asyncio
import os

from stemwatch.job import WANTED_BACK, Identity, Job, JobState, resume_state, resumed_fields
from stemwatch.journal.journal import AlreadyPaid
from stemwatch.log import log
from stemwatch.workers.context import Context


async def asked_back(ctx: Context, job: Job) -> Job | None:
    """Return the job back at work; None where `retry` did not ask for it, or it can't be now."""
    if job.state is not JobState.QUARANTINED or job.unfiled is None:
        return None
    if job.unfiled.code != WANTED_BACK:
        return None
    try:
        found = Identity.of(await asyncio.to_thread(os.lstat, job.path))
    except OSError:
        return None  # gone, or its disk is away: the step that files it finds out
    if (found.size, found.mtime_ns) != (job.identity.size, job.identity.mtime_ns):
        return None
    try:
        moved = await _resumed(ctx, job, found)
    except AlreadyPaid:
        return None  # another job separates its content; tried again when that has ended
    ctx.troubles.forget(job.id)
    log.info("job.retried", **job.named, id=job.id, state=str(moved.state))
    return moved


async def _resumed(ctx: Context, job: Job, found: Identity) -> Job:
    if not job.admitted:
        # It was refused before its length was known: the intake has to read it again.
        return await ctx.journal.advance(job, JobState.GONE, "retried: looked at again")
    fields = {**resumed_fields(job), "identity": found}
    return await ctx.journal.advance(job, resume_state(job), "retried", **fields)
