"""Probes: look, at no cost, whether the cause of a pause is gone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from stemwatch.codes import POLL, SUBMIT, Code
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService, RetryLater, StemwatchError
from stemwatch.job import JobState
from stemwatch.log import log
from stemwatch.workers.context import Context
from stemwatch.workers.holding_back import pause as hold
from stemwatch.workers.pacing.pause import Pause, outage
from stemwatch.workers.pacing.rehearsal import demand_staging
from stemwatch.workers.steps import own_trouble

T = TypeVar("T")
_IN_VAIN = 3  # a question that got no answer so often is asked in turn with another one


async def probe(ctx: Context, pause: Pause) -> None:
    """Find out whether `pause` is over, and open the gate if so; else make its wait longer.

    Where no free question can tell, one song may try. Probes run one at a time for each inbox.
    """
    ctx.gate.tried(pause)
    try:
        over = await _over(ctx, pause)
    except StemwatchError as fault:
        _told(ctx, pause, fault)
    except Exception as fault:  # a bug of ours must neither make this pause last nor end the pool
        log.error("probe.error", reason=pause.code, inbox=pause.inbox, exc_info=fault)
        ctx.gate.in_vain(pause)
    else:
        if over is None:
            ctx.gate.clear(pause)
        elif over:
            ctx.gate.reopen(pause.code, pause.inbox)
        else:
            ctx.gate.in_vain(pause)
    ctx.bell.wake()


def _told(ctx: Context, pause: Pause, fault: StemwatchError) -> None:
    """The question was refused or got no answer, which may begin another pause."""
    ctx.counters.rate_limited += fault.code == Code.RATE_LIMITED
    ctx.gate.in_vain(pause, getattr(fault, "after", None))
    if pause.rule.asked and fault.code == pause.code:
        ctx.memory.overtaken.paused(1)  # it is everybody's: no song's own refusals
    if isinstance(fault, PauseService) and fault.code != pause.code:
        if pause.code == Code.SERVER:  # the server answers again, if only to refuse the key
            ctx.gate.reopen(Code.SERVER)
        hold(ctx, fault)
    elif isinstance(fault, RetryLater) and pause.rule.trial == SUBMIT:
        if fault.code == Code.BAD_ANSWER:  # answers may stay unreadable: let a song try
            ctx.gate.clear(pause)
        elif fault.server_down and pause.code == Code.SERVER_ERROR:
            hold(ctx, outage(fault.message))  # not only submissions fail: the server is down


async def _over(ctx: Context, pause: Pause) -> bool | None:
    """Whether the pause is over; None: no free question can tell."""
    if pause.rule.one_inbox:
        place = ctx.places.get(pause.inbox)
        # If the inbox is no longer configured, its next song meets the fault again, or not.
        # What a start has left to do there comes before the songs.
        well = place is None or (place.prepared and await _folders_are_well(ctx, pause, place))
        if well:
            await own_trouble.wake_all(ctx)
            if pause.code == Code.ROOM:  # last: nothing is awaited between this and the pause's end
                ctx.space.ended(pause.inbox)
        return well
    match pause.code:
        case Code.AUTH | Code.SERVER | Code.SERVER_ERROR:
            await _answer(ctx, pause, ctx.api.check_key, ctx.api.is_here)
            # A server may answer questions and fail every submission.
            return None if pause.code == Code.SERVER_ERROR else True
        case Code.ENDPOINT:
            return await _answer(ctx, pause, ctx.api.is_here, ctx.api.check_key) or None
        case Code.CREDIT:
            return await _has_credit(ctx, pause)
        case Code.AUDIO_HELPER:
            await ctx.audio.test()
            return True
        case Code.JOURNAL:
            await ctx.journal.note("probe", f"{ctx.now():.0f}")
            return True
        case _:
            return True


async def _answer(
    ctx: Context, pause: Pause, ask: Callable[[], Awaitable[T]], other: Callable[[], Awaitable[Any]]
) -> T | None:
    """The result of `ask`; None where `ask` has had no answer for long and `other` gets one.

    One call of an API may be broken for good while all others work: paid jobs and waiting songs
    must not wait for it. The two calls take turns, so that a server that is down gets no more
    questions than before. Raises what the call raises.
    """
    unanswered = ctx.gate.unanswered
    since, times = unanswered.get(pause.code, (pause.since, 0))
    times = times if since == pause.since else 0
    await ctx.requests.take()
    began = ctx.clock()
    try:
        if times >= _IN_VAIN and times % 2 == _IN_VAIN % 2:
            await other()
            found, times = None, _IN_VAIN - 1  # the next call is `ask` again
        else:
            found, times = await ask(), 0
    except RetryLater as fault:
        times += fault.server_down
        raise
    finally:
        unanswered[pause.code] = pause.since, times
    ctx.memory.overtaken.served(POLL, began)
    return found


async def _has_credit(ctx: Context, pause: Pause) -> bool | None:
    """Whether the credit is enough for one of the waiting songs; None: the API can't tell."""
    if not ctx.api.tells_credit:
        return None
    balance = await _answer(ctx, pause, ctx.api.balance, ctx.api.is_here)
    if balance is None:
        return None
    ctx.credit.heard(balance, ctx.now())
    if await _waits(ctx, None):
        return await _waits(ctx, balance)
    return balance > 0


async def _waits(ctx: Context, longest: float | None) -> bool:
    """Whether a song of at most so many seconds waits to be submitted (None: of any length).

    The journal lets one of any length through whose stems are there, since it costs nothing. Where
    they are found to be gone it costs as much as any: its upload would be refused again and again.
    """
    found = await ctx.journal.claim(
        (JobState.QUEUED,),
        now=math.inf,
        owner=ctx.owner,
        limit=1,
        busy=ctx.memory.too_dear(longest),
        longest=longest,
        at_hand=False,
    )
    return bool(found)


async def _folders_are_well(ctx: Context, pause: Pause, place: Place) -> bool:
    if pause.code == Code.DISK:
        await demand_staging(place)
        await own_trouble.rehearsal(ctx, place).of_place(place)
        return True
    if pause.code == Code.ROOM:
        return await _has_room(ctx, pause.inbox)
    await place.require_inbox()
    return True


async def _has_room(ctx: Context, inbox: str | None) -> bool:
    """Whether there is room for the song that waits for it, or the song is gone."""
    awaited = ctx.space.awaited(inbox)
    job = None if awaited is None else await ctx.journal.get(awaited)
    if job is None or job.state is not JobState.QUEUED:
        return True  # the next one meets the fault again, or not
    return await asyncio.to_thread(ctx.space.is_there, inbox)
