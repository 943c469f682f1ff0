"""Recovery at the start: unanswered submissions, reserved space and waits of an earlier run."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from stemwatch.codes import Code
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService, Unconfirmed
from stemwatch.job import Job, JobState
from stemwatch.journal.every import every
from stemwatch.tasks import side_by_side
from stemwatch.workers.context import Context
from stemwatch.workers.holding_back import give_time
from stemwatch.workers.pool.outcome import reject


async def recover(ctx: Context) -> None:
    """Recover what an earlier run left undecided, and take over what it was told to wait for.

    A submission without an answer may have been charged. Where the API lists its jobs, the lane
    CONFIRM asks it; elsewhere the song goes to quarantine, where a person decides.
    """
    for job in [] if ctx.api.lists_jobs else await mine(ctx, JobState.SUBMITTING):
        fault = Unconfirmed(
            "stemwatch was stopped between sending the last bytes and reading the answer."
        )
        await reject(ctx, job, fault)
    # Faults that a person may have mended before the start: disks, permissions, the installation,
    # stemwatch itself. A server's Retry-After is not among them.
    await ctx.journal.wake(ctx.owner, [code for code in Code if code.rule.mended])
    await _recall_disks(ctx)
    await _keep_room(ctx)
    await _keep_waiting(ctx)


async def mine(ctx: Context, state: JobState) -> list[Job]:
    """The jobs in this state that this service, or this `split`, owns."""
    return [job async for job in every(ctx.journal, (state,)) if job.owner == ctx.owner]


async def _recall_disks(ctx: Context) -> None:
    """Recall the disks of outboxes that are not configured any more, but still have songs to come.

    One may be away now, and nothing may be put below its mount point.
    """
    known = await ctx.journal.inboxes() if ctx.owner is None else ()
    found = ((inbox, ctx.place_at(inbox, outbox)) for inbox, outbox in known)
    old = [place for inbox, place in found if place is not ctx.places.get(inbox)]
    await side_by_side((_recall_outbox(ctx, place) for place in old), name="recall")


async def _recall_outbox(ctx: Context, place: Place) -> None:
    with suppress(PauseService):  # missing, or it hangs: its songs will find out
        await place.demand_outbox()
        # Its disk alone: others of that place may hang.
        alone = replace(place, anchors={place.outbox: place.anchors[place.outbox]})
        await alone.recall(ctx.journal)


async def _keep_room(ctx: Context) -> None:
    """Reserve disk space for all stems to be fetched, before another song is paid for."""
    for place in ctx.places.values():
        ctx.space.know({path: anchor.device for path, anchor in place.anchors.items()})
    for job in await mine(ctx, JobState.SEPARATED):
        ctx.space.reserve(job)


async def _keep_waiting(ctx: Context) -> None:
    """Begin the pause of a 429 again: a restart must not cut a Retry-After short."""
    longest = ctx.timing.retry_after_max
    asked = await ctx.journal.held_until(Code.RATE_LIMITED, ctx.owner)
    # At most `longest`: a wrong clock must not hold paid jobs for good.
    waits = {state: min(until - ctx.now(), longest) for state, until in asked.items()}
    if (wait := max(waits.values(), default=0.0)) > 0:
        message = "the server asked for time (429) before stemwatch was started again."
        give_time(ctx, message, wait)
    ctx.polls.hold(ctx.clock() + waits.get(JobState.SEPARATING, 0.0))
