"""Takes over jobs of an interrupted `split` that queued songs wait for: it may never run again."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from stemwatch.disks import lock
from stemwatch.errors import JournalFault, StemwatchError, Unconfirmed
from stemwatch.job import UNDER_WAY, Job, JobState
from stemwatch.journal.every import every
from stemwatch.journal.journal import StaleJob
from stemwatch.log import log
from stemwatch.workers.context import Context
from stemwatch.workers.pool.outcome import reject


async def keep(ctx: Context, state_dir: str) -> None:
    """Until cancelled, take over jobs that our queued songs wait for and nobody works on."""
    dead: set[str] = set()
    while True:
        # Seldom, as an idle service looks too. Twice, as the `split` may be run again meanwhile.
        await asyncio.sleep(ctx.timing.restart if dead else ctx.timing.status_idle)
        try:
            before, dead = dead, await _dead(ctx, state_dir)
            if lost := before & dead:
                await take_over(ctx, lost)
        except JournalFault:
            raise
        except StemwatchError as fault:  # such as a full disk: it is tried again
            log.debug("job.not_taken_over", code=fault.code, message=fault.message)


async def _dead(ctx: Context, state_dir: str) -> set[str]:
    """The owners of the jobs that we wait for, if their processes are dead."""
    awaited = await ctx.journal.awaited(ctx.owner) or []
    return {o for o, _ in awaited if o is not None and not _lives(state_dir, o)}


def _lives(state_dir: str, owner: str) -> bool:
    try:
        return lock.is_held(lock.of_owner(state_dir, owner))
    except OSError:  # another account's lock: we can't tell, and so take nothing
        return True


async def take_over(ctx: Context, lost: set[str]) -> None:
    """Take over the jobs of these owners; a job that somebody takes up just now stays theirs."""
    async for dead in every(ctx.journal, UNDER_WAY):
        if dead.owner in lost:
            with suppress(StaleJob):
                await _take_over(ctx, dead)
    ctx.bell.wake()


async def _take_over(ctx: Context, dead: Job) -> None:
    if dead.remote_id is None and not ctx.local:
        await _left_to_a_person(ctx, dead)
    # A server on this machine was its owner's own, and so were the results on it.
    elif (heir := await ctx.journal.inherit(dead, theirs=ctx.local)) is not None:
        told = f"the `split` that separated it as {dead.path} was interrupted."
        log.warning("job.taken_over", **heir.named, id=heir.id, message=told)


async def _left_to_a_person(ctx: Context, dead: Job) -> None:
    """Reject a job that may be charged; songs that wait for it learn that at their next claim."""
    if await ctx.journal.with_content(dead.content_key, (JobState.QUEUED,)):
        await reject(ctx, dead, Unconfirmed("its `split` was stopped just when it was submitted."))
