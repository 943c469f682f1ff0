"""A line of so many bytes a second that all connections share, as one household's does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

PIECE = 32 * 1024  # bytes that pass at once: small, so that connections share the line fairly


class Link:
    """`rate` in bytes a second; None passes everything at once."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self._free_at = 0.0

    async def carry(self, count: int) -> None:
        """Return when `count` bytes have passed, after those of everybody who came before."""
        if self.rate is None:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / self.rate
        if self._free_at - now > 0.001:
            await asyncio.sleep(self._free_at - now)

    async def paced(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A body, at the speed of the line."""
        async for chunk in body:
            for at in range(0, len(chunk), PIECE):
                piece = chunk[at : at + PIECE]
                await self.carry(len(piece))
                yield piece
