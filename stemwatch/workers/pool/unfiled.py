"""Postpones the move of an original that can't reach its folder. It is never given up.

By then the stems are delivered, or the reason for the quarantine is known. So there is no last try
and no other state to go to: the move is tried again after growing waits, reported once, listed by
`status`, and holds up nobody.
"""

from __future__ import annotations

from stemwatch.errors import RetryLater, StemwatchError
from stemwatch.job import WANTED_BACK, Job, Unfiled
from stemwatch.log import log
from stemwatch.workers.backoff import full_jitter
from stemwatch.workers.context import Context
from stemwatch.workers.steps import own_trouble


async def postpone(
    ctx: Context, job: Job, fault: StemwatchError, seconds: float | None = None
) -> None:
    """Note in the journal why the original of `job` was not moved, and when to try again.

    `seconds` is the wait. None: it grows with each try; or it is `unfiled_max` where the job's
    folder refuses files, since a look at that folder wakes the job.
    """
    before = job.unfiled
    tries = 1 if before is None else before.tries + 1
    now = Unfiled(fault.code, fault.message, fault.hint, tries)
    if before is not None and before.code == WANTED_BACK:  # keep the request of `retry`
        now = before._replace(tries=tries)
    if seconds is None:
        seconds = wait(ctx, fault, tries)
        if await own_trouble.watch(ctx, job):
            seconds = ctx.timing.unfiled_max
    await ctx.journal.amend(
        job,
        unfiled=now,
        not_before=ctx.now() + seconds,
        updated_at=job.updated_at,  # the time of its quarantine, which the reason file shows
    )
    told = {"code": now.code, "message": now.message, "hint": now.hint or None}
    new = before is None or (before.code, before.message) != (now.code, now.message)
    tell = log.warning if new else log.debug
    tell("job.unfiled", **job.named, id=job.id, **told, seconds=round(seconds, 1))


def wait(ctx: Context, fault: StemwatchError, tries: int) -> float:
    """Seconds until the next try; longer each time, at most `unfiled_max`."""
    if isinstance(fault, RetryLater) and fault.after is not None:
        return min(fault.after, ctx.timing.unfiled_max)
    return full_jitter(tries, ctx.timing.disk_recheck, ctx.timing.unfiled_max, ctx.rng)
