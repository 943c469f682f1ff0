"""Songs that wait for a `split` that was interrupted: nobody may ever run it again."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from stemwatch.disks import lock
from stemwatch.errors import JournalFault, StemwatchError, Unconfirmed
from stemwatch.job import Job, JobState
from stemwatch.journal.journal import StaleJob
from stemwatch.log import log
from stemwatch.workers.context import Context
from stemwatch.workers.pool.outcome import reject

_UNDER_WAY = (JobState.SUBMITTING, JobState.SEPARATING, JobState.SEPARATED)


async def keep(ctx: Context, state_dir: str) -> None:
    """Take over what our queued songs wait for and nobody works on; until cancelled."""
    dead: set[str] = set()
    while True:
        # Seldom, as it is an idle service too that looks; and twice, as it may be run again.
        await asyncio.sleep(ctx.timing.restart if dead else ctx.timing.status_idle)
        try:
            before, dead = dead, await _dead(ctx, state_dir)
            if lost := before & dead:
                await take_over(ctx, lost)
        except JournalFault:
            raise
        except StemwatchError as fault:  # as of a full disk: looked at again
            log.debug("job.not_taken_over", code=fault.code, message=fault.message)


async def _dead(ctx: Context, state_dir: str) -> set[str]:
    """Those who separate what we wait for, and live no more."""
    awaited = await ctx.journal.awaited(ctx.owner) or []
    return {o for o, _ in awaited if o is not None and not _lives(state_dir, o)}


def _lives(state_dir: str, owner: str) -> bool:
    try:
        return lock.is_held(lock.of_owner(state_dir, owner))
    except OSError:  # another account's: who can't tell takes nothing
        return True


async def take_over(ctx: Context, lost: set[str]) -> None:
    """Go on with what these owners left; what somebody takes up at this moment stays theirs."""
    for dead in await ctx.journal.in_states(_UNDER_WAY):
        if dead.owner in lost:
            with suppress(StaleJob):
                await _take_over(ctx, dead)
    ctx.wake()


async def _take_over(ctx: Context, dead: Job) -> None:
    if dead.remote_id is None and not ctx.local:
        await _left_to_a_person(ctx, dead)
    # A server on this machine is its owner's own, and so is what it has made.
    elif (heir := await ctx.journal.inherit(dead, theirs=ctx.local)) is not None:
        told = f"the `split` that separated it as {dead.path} was interrupted."
        log.warning("job.taken_over", **heir.named, id=heir.id, message=told)


async def _left_to_a_person(ctx: Context, dead: Job) -> None:
    """It may have been charged: what waits for it is told so by its own next claim."""
    if await ctx.journal.with_content(dead.content_key, (JobState.QUEUED,)):
        await reject(ctx, dead, Unconfirmed("its `split` was stopped just when it was submitted."))
