"""quarantined -> back at work: `retry` asked for a song whose original is not moved yet.

The command is another process. It must not touch a file that this one may be moving, so it asks,
and the song goes on from where it lies.
"""

from __future__ import annotations

import asyncio
import os

from stemwatch.inbox.intake import resumed_fields
from stemwatch.job import WANTED_BACK, Identity, Job, JobState, resume_state
from stemwatch.journal.journal import AlreadyPaid
from stemwatch.log import log
from stemwatch.workers.context import Context


async def asked_back(ctx: Context, job: Job) -> Job | None:
    """The job back at work; None where nobody asked for it, or it can't be now."""
    if job.state is not JobState.QUARANTINED or job.unfiled is None:
        return None
    if job.unfiled.code != WANTED_BACK:
        return None
    try:
        found = Identity.of(await asyncio.to_thread(os.lstat, job.path))
    except OSError:
        return None  # gone, or its disk is away: whoever files it finds out
    if (found.size, found.mtime_ns) != (job.identity.size, job.identity.mtime_ns):
        return None
    try:
        moved = await _resumed(ctx, job, found)
    except AlreadyPaid:
        return None  # its content is separated as another job: asked again when that is over
    ctx.troubles.forget(job.id)
    log.info("job.retried", **job.named, id=job.id, state=str(moved.state))
    return moved


async def _resumed(ctx: Context, job: Job, found: Identity) -> Job:
    if not job.sha256 or job.duration is None:
        # It was refused before it was measured: the intake has to look at it again.
        return await ctx.journal.advance(job, JobState.GONE, "retried: looked at again")
    fields = {**resumed_fields(job), "identity": found}
    return await ctx.journal.advance(job, resume_state(job), "retried", **fields)
