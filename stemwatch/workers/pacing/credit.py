"""The credit left at the API: the last known balance, and when it is asked for again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemwatch.codes import CONFIRM
from stemwatch.errors import StemwatchError
from stemwatch.log import log

if TYPE_CHECKING:
    from stemwatch.workers.context import Context


@dataclass(frozen=True, slots=True)
class Known:
    """The API's last word: seconds of audio that are left, `at` Unix seconds."""

    seconds: float
    at: float


class Credit:
    """What is known, None: nothing (yet); and whether it is worth asking again."""

    def __init__(self) -> None:
        self.known: Known | None = None
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()

    def spent(self) -> None:
        """A submission was taken: what is known is no longer right. Asked for when it is old."""
        self._wanted.set()

    def turned(self) -> None:
        """It ran out, or came back: asked for now."""
        self._urgent.set()
        self._wanted.set()

    def heard(self, seconds: float, now: float) -> None:
        """The API says that so much is left, at `now` (Unix seconds)."""
        self.known = Known(seconds, now)
        log.debug("credit.known", seconds=seconds)

    async def due(self, ctx: Context, earliest: float) -> None:
        """Wait until it is to be asked for; not before `earliest` (monotonic) unless it turned."""
        await self._wanted.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, earliest - ctx.clock())):
                await self._urgent.wait()
        self._wanted.clear()
        self._urgent.clear()


async def keep(ctx: Context) -> None:
    """Keep `ctx.credit` as true as it has to be; until cancelled."""
    ctx.credit.turned()  # at the start
    earliest = 0.0
    while True:
        await ctx.credit.due(ctx, earliest)
        # A server that is down, or that has asked for time, is not asked for this either.
        if ctx.api.tells_credit and ctx.gate.closed(CONFIRM) is None:
            known = await _ask(ctx)
            wait = ctx.timing.credit_every if known else ctx.timing.credit_again
            earliest = ctx.clock() + wait


async def _ask(ctx: Context) -> bool:
    await ctx.requests.take()
    try:
        found = await ctx.api.balance()
    except StemwatchError as fault:  # whatever it is, the next submission will tell
        log.debug("credit.unknown", code=fault.code, message=fault.message)
        return False
    if found is None:
        return False
    ctx.credit.heard(found.seconds, ctx.now())
    return True
