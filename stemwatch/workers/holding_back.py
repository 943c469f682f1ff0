"""Begins the pauses that a fault calls for: in the pool, in a step, and where an inbox is read."""

from __future__ import annotations

from stemwatch.codes import Again, Code
from stemwatch.errors import PauseService, RetryLater, Unconfirmed
from stemwatch.job import Job
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.pause import outage


def pause(ctx: Context, fault: PauseService, inbox: str | None = None) -> None:
    """Begin the pause for this fault.

    `inbox` is the inbox whose song or folders met the fault.
    """
    if ctx.gate.pause(fault, inbox):
        if fault.rule.again is Again.OUTAGE:
            ctx.memory.overtaken.paused()
        if fault.code == Code.CREDIT:
            ctx.credit.turned()


def hold_others(ctx: Context, job: Job, fault: BaseException) -> None:
    """Begin the pause that this fault of a submission calls for, before anything is awaited.

    On a slow disk the journal's answer may take so long that another song is paid for meanwhile.
    """
    if isinstance(fault, PauseService):
        pause(ctx, fault, job.inbox)
    elif isinstance(fault, Unconfirmed):
        # If the server is failing, only the songs in flight may be charged for nothing: no other is
        # sent before the server answers a question, and then one by one until it accepts a song.
        pause(ctx, outage(fault.message, Code.SERVER_ERROR))
    elif isinstance(fault, RetryLater) and fault.code == Code.RATE_LIMITED:
        give_time(ctx, fault.message, fault.after)


def give_time(ctx: Context, message: str, after: float | None) -> None:
    """Begin the pause for a 429. `after`: its Retry-After, in seconds."""
    hint = "Lower api.max_concurrent to your plan's parallel jobs if this goes on."
    pause(ctx, PauseService(message, code=Code.RATE_LIMITED, hint=hint, after=after))
