"""Adopting remote jobs that nobody polls: after a start, or after a `retry`."""

from __future__ import annotations

import math

from stemwatch.codes import CONFIRM, POLL, SUBMIT
from stemwatch.job import JobState
from stemwatch.workers.context import Context
from stemwatch.workers.pool.choosing.lanes_to_ask import LanesToAsk
from stemwatch.workers.pool.lanes import Lanes

_AT_ONCE = 1000  # remote jobs that one turn adopts


async def adopt(ctx: Context, lanes: Lanes, unseen: LanesToAsk) -> None:
    """Schedule polls for remote jobs that have none, and hold their slots and their room."""
    if not unseen.take(POLL):
        return
    found = await ctx.journal.claim(
        (JobState.SEPARATING,),
        now=math.inf,
        owner=ctx.owner,
        limit=_AT_ONCE,
        # A job that is watched now may have ended when the journal's answer comes. A slot that
        # is then held for it again would be lost for good.
        busy=_watched(ctx, lanes),
    )
    for job in found:
        if job.id not in _watched(ctx, lanes):
            ctx.slots.hold(job.id)
            wait = min(max(0.0, job.not_before - ctx.now()), ctx.timing.retry_after_max)
            ctx.polls.resumed(job.id, ctx.clock(), wait, job.remote_id or "", job.duration)
            ctx.space.reserve(job)
    if len(found) == _AT_ONCE:
        unseen.more(POLL)


def _watched(ctx: Context, lanes: Lanes) -> set[int]:
    """The ids of the jobs that this run knows to be at the remote, or on their way there."""
    return {*ctx.polls, *lanes[POLL].tasks, *lanes[SUBMIT].tasks, *lanes[CONFIRM].tasks}
