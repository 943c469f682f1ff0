"""Trying whether the cause of a pause is gone, without a song: one probe at a time."""

from __future__ import annotations

import asyncio
import os
import zlib
from contextlib import suppress

from stemwatch.errors import PauseService, StemwatchError
from stemwatch.log import log
from stemwatch.outbox import durable
from stemwatch.workers.context import Context
from stemwatch.workers.gate import Pause


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
    if not over:
        ctx.gate.in_vain(pause)
        return
    if ctx.gate.reopen(pause.code):
        log.info("service.resumed", reason=pause.code)
    if pause.code in {"auth", "server"}:
        ctx.gate.answered()
    ctx.wake()


async def _over(ctx: Context, pause: Pause) -> bool:
    match pause.code:
        case "auth" | "server":
            await ctx.requests.take()
            await ctx.api.check_key()
            return True
        case "disk":
            await ctx.place.demand_results()
            return await asyncio.to_thread(_disk_is_well, ctx)
        case "room":
            return await asyncio.to_thread(_room_is_there, ctx)
        case "inbox":
            await ctx.place.require_inbox()
            return True
        case "journal":
            await ctx.journal.note("probe", f"{ctx.now():.0f}")
            return True
        case _:
            return True


def _disk_is_well(ctx: Context) -> bool:
    """A file can be written, flushed and removed."""
    ctx.place.require_results()
    # One name, so that kills leave one at most; our own, as a neighbour's can't be removed.
    name = f".stemwatch-probe-{zlib.crc32(os.fsencode(ctx.journal.path)):08x}"
    roots = (ctx.place.outbox, ctx.place.archive, ctx.place.quarantine)
    for root in (r for r in roots if r is not None):
        durable.require_root(root)
        with durable.disk_faults(root):
            path = os.path.join(root, name)
            try:
                durable.write_file(path, b"\0" * 4096, replace=True)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(path)
    return True


def _room_is_there(ctx: Context) -> bool:
    """For the song that found too little, beside what is still under way."""
    wanted = ctx.room_wanted + sum(ctx.reserved.values())
    return durable.free_bytes(ctx.place.outbox) >= wanted
