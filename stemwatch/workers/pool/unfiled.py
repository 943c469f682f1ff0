"""Postpones the move of an original that can't reach its folder. It is never given up.

All that is worth anything has happened before: the stems are delivered, or the reason is known. So
there is no last try and no other state to go to. It is tried again after longer and longer waits,
told once, listed by `status`, and nobody else waits for it.
"""

from __future__ import annotations

from stemwatch.errors import RetryLater, StemwatchError
from stemwatch.job import WANTED_BACK, Job, Unfiled
from stemwatch.log import log
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.backoff import full_jitter
from stemwatch.workers.steps import own_trouble


async def postpone(
    ctx: Context, job: Job, fault: StemwatchError, seconds: float | None = None
) -> None:
    """Note what kept the original of `job` where it is, and when it is tried again.

    `seconds` until then; None: longer each time, unless a look at its folder is going to wake it.
    """
    before = job.unfiled
    tries = 1 if before is None else before.tries + 1
    now = Unfiled(fault.code, fault.message, fault.hint, tries)
    if before is not None and before.code == WANTED_BACK:  # what was asked for meanwhile stays so
        now = before._replace(tries=tries)
    if seconds is None:
        seconds = wait(ctx, fault, tries)
        if await own_trouble.watch(ctx, job):
            seconds = ctx.timing.unfiled_max
    await ctx.journal.amend(
        job,
        unfiled=now,
        not_before=ctx.now() + seconds,
        updated_at=job.updated_at,  # when it came into quarantine: its reason tells that time
    )
    told = {"code": now.code, "message": now.message, "hint": now.hint or None}
    new = before is None or (before.code, before.message) != (now.code, now.message)
    tell = log.warning if new else log.debug
    tell("job.unfiled", **job.named, id=job.id, **told, seconds=round(seconds, 1))


def wait(ctx: Context, fault: StemwatchError, tries: int) -> float:
    """Seconds until the next try; longer each time, an hour at last."""
    if isinstance(fault, RetryLater) and fault.after is not None:
        return min(fault.after, ctx.timing.unfiled_max)
    return full_jitter(tries, ctx.timing.disk_recheck, ctx.timing.unfiled_max, ctx.rng)
