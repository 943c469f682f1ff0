"""A write's patience: it is for a line that stands still, however slow a moving one is."""

from __future__ import annotations

import asyncio
import socket

import httpcore
import pytest

from stemwatch.stemsplit.sockets import SocketStream

STALL = 0.35  # seconds
PIECE = 1024 * 1024  # bytes of one write
PART = 32 * 1024  # taken every 20 ms: a piece takes longer than the patience


async def _write(reads: bool) -> tuple[int, float]:
    """One piece to a peer that reads slowly, or not at all; what arrived and the seconds."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    arrived = 0

    async def read() -> None:
        nonlocal arrived
        while arrived < PIECE:
            arrived += len(await loop.sock_recv(theirs, PART))
            await asyncio.sleep(0.02)

    with ours, theirs:
        reading = asyncio.ensure_future(read() if reads else asyncio.sleep(0))
        began = loop.time()
        try:
            await SocketStream(ours).write(bytes(PIECE), timeout=STALL)
            took = loop.time() - began
            await reading
        finally:
            reading.cancel()
        return arrived, took


def test_a_slow_line_is_no_stalled_one() -> None:
    arrived, took = asyncio.run(_write(reads=True))
    assert arrived == PIECE
    assert took > STALL, "too quick to tell"


def test_a_stalled_line_is_given_up() -> None:
    with pytest.raises(httpcore.WriteTimeout, match="takes no more data"):
        asyncio.run(_write(reads=False))
