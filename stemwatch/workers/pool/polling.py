"""Starts the poll of each remote job when it is due, independent of the pool's turns.

A slot stands empty from a job's end until a poll sees it. The pool's turns, which take longer when
many files arrive, are too coarse for that.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from stemwatch.codes import POLL
from stemwatch.workers.context import Context
from stemwatch.workers.pool.lanes import Lanes


class Polling:
    """Starts the due polls in the lane POLL while `run` runs."""

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
        """Start the due polls. Returns the seconds until the next one; None: wait for an event."""
        ctx, lane = self._ctx, self._lanes[POLL]
        while True:
            if not lane.free or ctx.gate.closed(POLL):
                return None
            due = ctx.polls.next_due()
            if due is None:
                return None
            now = ctx.clock()
            # Polls leave requests for submissions, one for each slot.
            wait = max(due - now, ctx.requests.delay(spare=ctx.slots.most))
            if wait > 0.0:
                return wait
            job_id = ctx.polls.take_due(now)
            if job_id is not None:
                self._lanes.start(POLL, job_id, None)
