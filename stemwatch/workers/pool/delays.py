"""How long one song waits before its next try."""

from __future__ import annotations

from stemwatch.codes import Code
from stemwatch.errors import RetryLater
from stemwatch.job import Job
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.backoff import full_jitter
from stemwatch.workers.steps import own_trouble


async def wait_of(ctx: Context, job: Job, fault: RetryLater, attempts: int | None) -> float:
    """Seconds until the next try. `attempts` are the tries so far; None: they are not counted.

    Has a folder watched that has to be cleared first.
    """
    if attempts is None and fault.after is None:  # each wait is longer than the one before
        delay = _delay(ctx, fault, own_trouble.times_met(ctx, job, fault.code))
        if fault.rule.by_folder:
            return await own_trouble.blocked_gap(ctx, job, fault, delay)
        return delay
    return _delay(ctx, fault, attempts or 0)


def _delay(ctx: Context, fault: RetryLater, attempts: int) -> float:
    if fault.after is not None:
        return min(fault.after, ctx.timing.retry_after_max)
    if fault.code == Code.JOB_MISSING:
        return ctx.timing.missing_gap
    if fault.code == Code.URL_EXPIRED:
        return 0.0  # asking again gives fresh URLs
    if fault.code == Code.RATE_LIMITED:
        return ctx.gate.seconds_left(Code.RATE_LIMITED)  # of the pause that this fault began
    return full_jitter(attempts, ctx.timing.retry_first, ctx.timing.retry_max, ctx.rng)
