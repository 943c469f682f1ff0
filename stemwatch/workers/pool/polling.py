"""Starts the poll of each remote job when it is due, independent of the pool's turns.

A slot stands empty from a job's end until it is seen: the turns, which a storm of files stretches,
are too coarse for that.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from stemwatch.codes import POLL
from stemwatch.workers.context import Context
from stemwatch.workers.pool.lanes import Lanes


class Asking:
    """Starts polls in the lane POLL for as long as `run` runs."""

    def __init__(self, ctx: Context, lanes: Lanes) -> None:
        self._ctx = ctx
        self._lanes = lanes
        self._changed = asyncio.Event()
        ctx.polls.changed = self._changed.set
        lanes[POLL].freed = self._changed.set

    def wake(self) -> None:
        """The gate may have opened, or the pool has stopped."""
        self._changed.set()

    async def run(self) -> None:
        while True:
            self._changed.clear()
            wait = self._ask()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def _ask(self) -> float | None:
        """Start what is due; seconds until there may be more, None: only an event can tell."""
        ctx, lane = self._ctx, self._lanes[POLL]
        while True:
            if not lane.free or ctx.gate.closed(POLL):
                return None
            due = ctx.polls.next_due()
            if due is None:
                return None
            now = ctx.clock()
            # Submissions come first: polls leave them their part of the requests of a minute.
            wait = max(due - now, ctx.requests.delay(spare=ctx.slots.most))
            if wait > 0.0:
                return wait
            job_id = ctx.polls.take_due(now)
            if job_id is not None:
                self._lanes.start(POLL, job_id, None)
