"""Runs a coroutine wait by wait, so that a test can act between any two of its steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def stepwise(
    work: Coroutine[Any, Any, T], ended: Callable[[T], object] = lambda _: None
) -> AsyncIterator[None]:
    """Yield after each of `work`'s waits, when what it waited for is there, before it goes on.

    `ended` is given its result. Raises what `work` raises.
    """
    while True:
        try:
            waited = work.send(None)
        except StopIteration as end:
            ended(end.value)
            return
        if waited is None:  # it only let others run
            await asyncio.sleep(0)
        else:
            await asyncio.wait([waited])
        yield
