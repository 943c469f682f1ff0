"""A task that nobody awaits: its fault must not stay unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def watch(task: asyncio.Task[None], broken: Callable[[BaseException], None]) -> None:
    """Tell `broken` when a task that should never fail ends with a fault."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            broken(fault)

    task.add_done_callback(ended)
