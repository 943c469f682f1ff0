"""Probes: look, at no cost, whether the cause of a pause is gone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from stemwatch.codes import SUBMIT, Code
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService, RetryLater, StemwatchError
from stemwatch.job import JobState
from stemwatch.log import log
from stemwatch.outbox.sidecar import require_listed
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.gate import Pause, outage
from stemwatch.workers.pacing.rehearsal import demand_staging
from stemwatch.workers.pool.outcome import pause as hold
from stemwatch.workers.pool.outcome import resumed
from stemwatch.workers.steps import own_trouble

T = TypeVar("T")
_IN_VAIN = 3  # tries of a question that gets no answer, before another one is asked


async def probe(ctx: Context, pause: Pause) -> None:
    """Look whether `pause` is over, and open the gate if so; else it waits longer.

    Where nothing can be asked that would tell, one song may try.
    """
    ctx.gate.tried(pause)
    try:
        over = await _over(ctx, pause)
    except StemwatchError as fault:
        _told(ctx, pause, fault)
    except Exception as fault:  # ours: this pause must not be for good, nor anybody else's trouble
        log.error("probe.error", reason=pause.code, inbox=pause.inbox, exc_info=fault)
        ctx.gate.in_vain(pause)
    else:
        if over is None:
            ctx.gate.clear(pause)
        elif over:
            resumed(ctx, pause.code, pause.inbox)
        else:
            ctx.gate.in_vain(pause)
    ctx.bell.wake()


def _told(ctx: Context, pause: Pause, fault: StemwatchError) -> None:
    """The question was refused, or got no answer, which may be the news of another pause."""
    ctx.counters.rate_limited += fault.code == Code.RATE_LIMITED
    ctx.gate.in_vain(pause, getattr(fault, "after", None))
    if isinstance(fault, PauseService) and fault.code != pause.code:
        if pause.code == Code.SERVER:  # it answers again, if only to refuse the key
            resumed(ctx, Code.SERVER)
        hold(ctx, fault)
    elif isinstance(fault, RetryLater) and pause.rule.trial == SUBMIT:
        if fault.code == Code.BAD_ANSWER:  # it may never be one that can be read
            ctx.gate.clear(pause)
        elif fault.server_down and pause.code == Code.SERVER_ERROR:
            hold(ctx, outage(fault.message))  # it is not the submissions alone


async def _over(ctx: Context, pause: Pause) -> bool | None:
    """Whether it is over; None: nothing that is free can tell."""
    if pause.rule.one_inbox:
        place = ctx.places.get(pause.inbox)
        # Of one that is configured no more, its next song tells.
        well = place is None or await _folders_are_well(ctx, pause, place)
        if well:
            await own_trouble.wake_all(ctx)
        return well
    match pause.code:
        case Code.AUTH | Code.SERVER | Code.SERVER_ERROR:
            await _answer(ctx, pause, ctx.api.check_key, ctx.api.is_here)
            # Questions may be answered while every submission fails.
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
    """What `ask` gives; None where it has no answer for long, and `other` has one.

    One call of an API may be broken for good while all else works: paid jobs, and songs that could
    be separated, must not wait for its end. In turn, then: a server that is down gets no more
    questions for that. Raises what the one that is asked does.
    """
    unanswered = ctx.gate.unanswered
    since, times = unanswered.get(pause.code, (pause.since, 0))
    times = times if since == pause.since else 0
    await ctx.requests.take()
    try:
        if times >= _IN_VAIN and times % 2 == _IN_VAIN % 2:
            await other()
            found, times = None, _IN_VAIN - 1  # the next one is the first one again
        else:
            found, times = await ask(), 0
    except RetryLater as fault:
        times += fault.server_down
        raise
    finally:
        unanswered[pause.code] = pause.since, times
    return found


async def _has_credit(ctx: Context, pause: Pause) -> bool | None:
    """Whether what is left is enough for one of the songs that wait."""
    if not ctx.api.tells_credit:
        return None
    balance = await _answer(ctx, pause, ctx.api.balance, ctx.api.is_here)
    if balance is None:
        return None
    ctx.credit.heard(balance.seconds, ctx.now())
    if await _waits(ctx, None):
        return await _waits(ctx, balance.seconds)
    return balance.seconds > 0


async def _waits(ctx: Context, longest: float | None) -> bool:
    """Whether a song of at most so many seconds waits to be submitted (None: of any length)."""
    queued = (JobState.QUEUED,)
    return bool(
        await ctx.journal.claim(queued, now=math.inf, owner=ctx.owner, limit=1, longest=longest)
    )


async def _folders_are_well(ctx: Context, pause: Pause, place: Place) -> bool:
    if pause.code == Code.DISK:
        await demand_staging(place)
        await own_trouble.rehearsal(ctx, place).of_place(place)
        if place.unlisted is not None:  # no write shows that something can't be read
            await place.demand(require_listed, place.unlisted)
        return True
    if pause.code == Code.ROOM:
        return await asyncio.to_thread(ctx.space.is_there, pause.inbox, place.outbox)
    await place.require_inbox()
    return True
