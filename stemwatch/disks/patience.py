"""Reads from a disk that may hang, for as long as the disk answers at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
SLOW = 10.0  # seconds of one look until the disk is asked whether it answers at all


async def patiently(
    answers: Callable[[], Awaitable[None]], call: Callable[..., T], *at: object
) -> T:
    """`call(*at)` in a thread; while it is slow, `answers` may raise, and its fault is raised here.

    The thread of a call that is given up stays in it until the disk is back: who calls must not
    come again before `answers` says so.
    """
    work = asyncio.ensure_future(asyncio.to_thread(call, *at))
    try:
        while not (await asyncio.wait({work}, timeout=SLOW))[0]:
            await answers()
        return work.result()
    finally:
        work.cancel()
