"""Recovery at the start: unanswered submissions, reserved space and waits of an earlier run."""

from __future__ import annotations

from stemwatch.codes import Code
from stemwatch.errors import PauseService, Unconfirmed
from stemwatch.job import Job, JobState
from stemwatch.workers.context import Context
from stemwatch.workers.pool.outcome import pause, reject


async def recover(ctx: Context) -> None:
    """An intent without an answer may have been charged.

    Where the API can tell, it is asked (the lane CONFIRM); elsewhere a person decides.
    """
    for job in [] if ctx.api.lists_jobs else await mine(ctx, JobState.SUBMITTING):
        fault = Unconfirmed(
            "stemwatch was stopped between sending the last bytes and reading the answer."
        )
        await reject(ctx, job, fault)
    # Disks, permissions, the installation, or stemwatch itself. Not the word of a server.
    await ctx.journal.wake(ctx.owner, [code for code in Code if code.rule.mended])
    await _keep_room(ctx)
    await _keep_waiting(ctx)


async def mine(ctx: Context, state: JobState) -> list[Job]:
    """Jobs in this state that are ours to move."""
    return [job for job in await ctx.journal.in_states((state,)) if job.owner == ctx.owner]


async def _keep_room(ctx: Context) -> None:
    """What is to be fetched has its room before anything is paid for, however long it waits."""
    last = 0
    while page := await ctx.journal.in_states((JobState.SEPARATED,), after=last):
        for job in page:
            if job.owner == ctx.owner:
                ctx.space.reserve(job)
        last = page[-1].id


async def _keep_waiting(ctx: Context) -> None:
    """A restart is no way round a Retry-After: what a 429 held back stays held."""
    longest = ctx.timing.retry_after_max
    asked = await ctx.journal.held_until(Code.RATE_LIMITED, ctx.owner)
    # Bounded: a clock that was wrong at the start must not hold what is paid for.
    waits = {state: min(until - ctx.now(), longest) for state, until in asked.items()}
    if (wait := max(waits.values(), default=0.0)) > 0:
        message = "the server asked for time (429) before stemwatch was started again."
        pause(ctx, PauseService(message, code=Code.RATE_LIMITED, after=wait))
    ctx.polls.hold(ctx.clock() + waits.get(JobState.SEPARATING, 0.0))
