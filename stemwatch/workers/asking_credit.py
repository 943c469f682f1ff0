"""Asks the API for the credit that is left, whenever `Credit` says so."""

from __future__ import annotations

from stemwatch.codes import CONFIRM
from stemwatch.errors import StemwatchError
from stemwatch.log import log
from stemwatch.workers.context import Context


async def keep(ctx: Context) -> None:
    """Ask for the balance whenever `ctx.credit` says so, until cancelled."""
    ctx.credit.turned()  # at the start
    earliest = 0.0
    while True:
        await ctx.credit.due(earliest, ctx.clock)
        # A server that is down, or that asked for time (429), is not asked for the balance either.
        if ctx.api.tells_credit and ctx.gate.closed(CONFIRM) is None:
            known = await _ask(ctx)
            wait = ctx.timing.credit_every if known else ctx.timing.credit_again
            earliest = ctx.clock() + wait


async def _ask(ctx: Context) -> bool:
    await ctx.requests.take()
    try:
        found = await ctx.api.balance()
    except StemwatchError as fault:  # whatever is wrong, the next submission meets it too
        log.debug("credit.unknown", code=fault.code, message=fault.message)
        return False
    if found is None:
        return False
    ctx.credit.heard(found, ctx.now())
    return True
