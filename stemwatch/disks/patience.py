"""Reads from a disk that may hang, for as long as the disk answers at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
SLOW = 10.0  # seconds after which a slow call's disk is asked whether it answers at all


async def patiently(
    answers: Callable[[], Awaitable[None]],
    call: Callable[..., T],
    *at: object,
    slow: float = SLOW,
) -> T:
    """The result of `call(*at)` in a thread. Every `slow` seconds meanwhile, awaits `answers`.

    Raises what `call` raises, or what `answers` raises to give the call up. The thread of such a
    call stays in it until the disk is back, so don't call again before `answers` returns.
    """
    work = asyncio.ensure_future(asyncio.to_thread(call, *at))
    try:
        while not (await asyncio.wait({work}, timeout=slow))[0]:
            await answers()
        return work.result()
    finally:
        work.cancel()
