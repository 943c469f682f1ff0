"""Orders: what a person (`pause`) and the clock (`schedule`) hold back, carried out at the gate.

The order of `stemwatch pause` is a fact of the journal: it outlives a kill, and holds in the very
transaction that pays. The gate only saves what would be uploaded in vain, and tells everybody.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from stemwatch.codes import Code
from stemwatch.errors import JournalFault, StemwatchError
from stemwatch.journal import pausing
from stemwatch.log import log
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.pause import Pause

# Seconds between two looks while a time is waited for: the clock may be set, or the machine sleep.
_LOOK = 60.0


async def look(ctx: Context) -> float:
    """Hold back, and let go, what the journal and the clock say now.

    Returns the seconds after which to look again; `inf` where only a person can change anything.
    """
    now = ctx.now()
    order = pausing.in_force(await ctx.journal.fact(pausing.FACT), now)
    until = math.inf
    if order is None:
        _let_go(ctx, Code.ON_HOLD, None)
    else:
        until = math.inf if order.until is None else order.until
        _hold(ctx, Code.ON_HOLD, None, order.words(now), pausing.HINT, until)
    for inbox in ctx.places:
        hours = ctx.hours.get(inbox)
        begin = None if hours is None else hours.begin(now)
        if hours is None or begin is None:
            _let_go(ctx, Code.OFF_HOURS, inbox)
        else:
            _hold(ctx, Code.OFF_HOURS, inbox, *hours.words(begin, now), begin)
        until = until if hours is None else min(until, hours.change(now))
    return math.inf if until == math.inf else min(_LOOK, max(0.01, until - now))


async def keep(ctx: Context, rung: Callable[[float], Awaitable[None]]) -> None:
    """Look whenever it is due, or somebody has rung, until cancelled.

    `rung` returns after so many seconds, or once a command has written an order to the journal.
    """
    while True:
        try:
            wait = await look(ctx)
        except JournalFault:
            raise
        except StemwatchError as fault:  # such as a full disk, which is told elsewhere
            log.debug("orders.not_read", code=fault.code, message=fault.message)
            wait = ctx.timing.status_every
        await rung(wait)
        ctx.bell.wake()  # `first` may have put another song before all others


def _hold(
    ctx: Context, code: Code, inbox: str | None, message: str, hint: str, until: float
) -> None:
    """Begin the pause, or tell it anew where its words changed. `until`: Unix seconds."""
    before = next((p for p in ctx.gate.pauses if p.key == (code, inbox)), None)
    if before is not None and before.message == message:
        return
    clock = ctx.clock()
    since = clock if before is None else before.since
    pause = Pause(code, message, hint, since, clock + until - ctx.now(), inbox=inbox, met=clock)
    if not ctx.gate.order(pause):
        ctx.tell(pause, begins=True)


def _let_go(ctx: Context, code: Code, inbox: str | None) -> None:
    if ctx.gate.reopen(code, inbox):
        ctx.bell.wake()
