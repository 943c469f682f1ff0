"""A line of so many bytes a second that all connections share, as one household's does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

PIECE = 32 * 1024  # bytes that pass at once: small, so that connections share the line fairly
# Seconds that a line may catch up. The event loop oversleeps by about a millisecond, which is more
# than a piece takes on a fast line: lost each time, it made the line a fifth slower than its rate.
CATCH_UP = 0.010


class Link:
    """`rate` in bytes a second; None passes everything at once.

    `idle`: the seconds, between the first piece and the last, in which nobody sent anything.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.rate: float | None = None
        self.idle = 0.0
        self.clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    async def carry(self, count: int, *, asked: float = 0.0) -> None:
        """Return when `count` bytes have passed, after those of everybody who came before.

        They were waited for since `asked`: a server that came late to a free line was not idle.
        """
        if self.rate is None:
            return
        now = self.clock()
        if self._free_at:
            self.idle += max(0.0, now - max(self._free_at + CATCH_UP, asked))
        self._free_at = max(self._free_at, now - CATCH_UP) + count / self.rate
        if self._free_at - now > 0.001:
            await self._sleep(self._free_at - now)

    async def paced(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A body, at the speed of the line."""
        async for chunk in body:
            for at in range(0, len(chunk), PIECE):
                piece = chunk[at : at + PIECE]
                await self.carry(len(piece))
                yield piece
