"""Trying whether the cause of a pause is gone, without a song: one probe at a time."""

from __future__ import annotations

import asyncio

from stemwatch.errors import PauseService, StemwatchError
from stemwatch.log import log
from stemwatch.workers import alone, room
from stemwatch.workers.context import Context
from stemwatch.workers.gate import OF_ONE_INBOX, Pause
from stemwatch.workers.outcome import resumed
from stemwatch.workers.place import Place


async def probe(ctx: Context, pause: Pause) -> None:
    """Look whether `pause` is over, and open the gate if so; else it waits longer."""
    ctx.gate.tried(pause)
    try:
        over = await _over(ctx, pause)
    except StemwatchError as fault:
        ctx.counters.rate_limited += fault.code == "rate_limited"
        if pause.code == "server" and isinstance(fault, PauseService):
            ctx.gate.answered()  # it answers again, if only to refuse the key
            ctx.gate.pause(fault)
        else:
            ctx.gate.in_vain(pause, getattr(fault, "after", None))
        return
    except Exception as fault:  # ours: this pause must not be for good, nor anybody else's trouble
        log.error("probe.error", reason=pause.code, inbox=pause.inbox, exc_info=fault)
        ctx.gate.in_vain(pause)
        return
    if not over:
        ctx.gate.in_vain(pause)
        return
    resumed(ctx, pause.code, pause.inbox)
    if pause.code in {"auth", "server"}:
        ctx.gate.answered()
    ctx.wake()


async def _over(ctx: Context, pause: Pause) -> bool:
    if pause.code in OF_ONE_INBOX:
        place = ctx.places.get(pause.inbox)
        # Of one that is configured no more, its next song tells.
        well = place is None or await _folders_are_well(ctx, pause, place)
        if well:
            await alone.wake_all(ctx)
        return well
    match pause.code:
        case "auth" | "server":
            await ctx.requests.take()
            await ctx.api.check_key()
            return True
        case "journal":
            await ctx.journal.note("probe", f"{ctx.now():.0f}")
            return True
        case _:
            return True


async def _folders_are_well(ctx: Context, pause: Pause, place: Place) -> bool:
    if pause.code == "disk":
        await place.demand_staging()
        await alone.rehearsal(ctx, place).of_place(place)
        return True
    if pause.code == "room":
        return await asyncio.to_thread(room.is_there, ctx, pause.inbox, place.outbox)
    await place.require_inbox()
    return True
