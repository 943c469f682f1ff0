"""How long one song waits before its next try."""

from __future__ import annotations

from stemwatch.codes import Code
from stemwatch.errors import RetryLater
from stemwatch.job import Job
from stemwatch.workers.backoff import full_jitter
from stemwatch.workers.context import Context
from stemwatch.workers.steps import own_trouble

_IN_A_ROW = 5  # 429s to one song, after which the others come before it
# Faults of a server that one song may meet for ever, and how many in a row are waited for by
# `run --once`: about five minutes.
_SERVERS = {Code.UNREACHABLE, Code.NETWORK, Code.SERVER_ERROR, Code.BUSY, Code.STORAGE_BUSY}
_IN_VAIN = 10


async def wait_of(ctx: Context, job: Job, fault: RetryLater, attempts: int | None) -> float:
    """Seconds until the next try. `attempts` are the tries so far; None: they are not counted.

    Has a folder watched that has to be cleared first.
    """
    ctx.troubles.in_vain.pop(job.id, None)
    if fault.code == Code.RATE_LIMITED:
        return _behind_others(ctx, job, fault)
    if attempts is not None:
        return _delay(ctx, fault, attempts)
    of_server = fault.code in _SERVERS
    if fault.after is not None and not of_server:
        return _delay(ctx, fault, 0)
    times = own_trouble.times_met(ctx, job, fault.code)
    delay = _delay(ctx, fault, times)  # longer each time
    if of_server and times >= _IN_VAIN:
        ctx.troubles.in_vain[job.id] = str(fault)
    if fault.rule.by_folder:
        return await own_trouble.blocked_gap(ctx, job, fault, delay)
    return delay


def _behind_others(ctx: Context, job: Job, fault: RetryLater) -> float:
    """Seconds after a 429. A song that meets it again and again lets the others go first.

    It would be tried as soon as the pause is over, and hold up everybody again, for ever.
    """
    left = ctx.gate.seconds_left(Code.RATE_LIMITED)  # of the pause that this fault began
    wait = left if fault.after is None else min(fault.after, ctx.timing.retry_after_max)
    times = own_trouble.times_met(ctx, job, fault.code)
    return wait + (ctx.timing.missing_gap if times >= _IN_A_ROW else 0.0)


def _delay(ctx: Context, fault: RetryLater, attempts: int) -> float:
    if fault.after is not None:
        return min(fault.after, ctx.timing.retry_after_max)
    if fault.code in {Code.JOB_MISSING, Code.ENDPOINT}:
        return ctx.timing.missing_gap  # a gateway answers 404 while the API is begun anew
    if fault.code == Code.URL_EXPIRED:
        return 0.0  # asking again gives fresh URLs
    return full_jitter(attempts, ctx.timing.retry_first, ctx.timing.retry_max, ctx.rng)
