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
    """The balance that the API told last: seconds of audio left, `at` a time in Unix seconds."""

    seconds: float
    at: float


class Credit:
    """The last known balance (None: never told), and whether to ask for it again.

    It is asked for while songs are paid for. An idle service never asks.
    """

    def __init__(self) -> None:
        self.known: Known | None = None
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()

    def spent(self) -> None:
        """A submission was accepted: the known balance is outdated, so ask again when it is due."""
        self._wanted.set()

    def turned(self) -> None:
        """The credit ran out or came back: ask at once."""
        self._urgent.set()
        self._wanted.set()

    def heard(self, seconds: float, now: float) -> None:
        """The API said that `seconds` of audio are left, at `now` (Unix seconds)."""
        self.known = Known(seconds, now)
        log.debug("credit.known", seconds=seconds)

    async def due(self, ctx: Context, earliest: float) -> None:
        """Wait until the balance is to be asked for.

        That is not before `earliest` (monotonic seconds), unless `turned` was called.
        """
        await self._wanted.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, earliest - ctx.clock())):
                await self._urgent.wait()
        self._wanted.clear()
        self._urgent.clear()


async def keep(ctx: Context) -> None:
    """Ask for the balance whenever `ctx.credit` says so, until cancelled."""
    ctx.credit.turned()  # at the start
    earliest = 0.0
    while True:
        await ctx.credit.due(ctx, earliest)
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
