"""Steps whose disk hangs: their seats go to songs of other disks until it answers.

A call into such a disk can't be interrupted, and a second one beside it would write into the same
files. So the step stays as it is and nobody claims its song; it only takes no seat meanwhile, and
no place among the uploads ahead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from stemwatch.codes import FETCH, FILE, SUBMIT, UNPACK
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService
from stemwatch.job import Job
from stemwatch.workers.context import Context
from stemwatch.workers.holding_back import pause
from stemwatch.workers.pool.lanes import Lanes

_Step = tuple[asyncio.Task[Job | None], Job]


class Hung:
    """Finds the steps that a disk holds up: those that stand still while it doesn't answer."""

    def __init__(self, ctx: Context, lanes: Lanes) -> None:
        self._ctx = ctx
        self._lanes = lanes
        self._seen: dict[tuple[str, int], Any] = {}  # how far each step was at the last look

    async def run(self) -> None:
        """Look at all steps every `disk_slow` seconds, until cancelled."""
        while True:
            await asyncio.sleep(self._ctx.timing.disk_slow)
            await self._look()

    async def _look(self) -> None:
        still: dict[tuple[str, str | None, str], list[_Step]] = {}
        before, self._seen = self._seen, {}
        for name, step in self._steps():
            task, job = step
            shown = self._ctx.progress.running.get(job.id)
            mark = task, shown and (shown.stage, shown.done)
            self._seen[name, job.id] = mark
            if before.get((name, job.id)) == mark:
                still.setdefault((name, job.inbox, job.outbox), []).append(step)
            else:
                self._lanes[name].hung.discard(job.id)
        # Together: one disk that hangs must not put off the look at another.
        await asyncio.gather(*(self._ask(name, steps) for (name, *_), steps in still.items()))

    def _steps(self) -> Iterator[tuple[str, _Step]]:
        for name in (FILE, FETCH, UNPACK, SUBMIT):
            lane = self._lanes[name]
            for job_id, job in lane.jobs.items():
                yield name, (lane.tasks[job_id], job)

    async def _ask(self, name: str, steps: list[_Step]) -> None:
        """Ask the disks of these steps, which are one inbox's, and note whether they hang."""
        ctx, lane, first = self._ctx, self._lanes[name], steps[0][1]
        place = ctx.place_of(first)
        try:
            await _require(place, name)
        except PauseService as fault:
            # To pause again would put off the next probe of the pause that is on. An outbox of an
            # earlier configuration holds back nobody else.
            configured = place is ctx.places.get(first.inbox)
            if configured and ctx.gate.since(fault.code, first.inbox) is None:
                pause(ctx, fault, first.inbox)
            hangs = True
        else:
            hangs = False
        for task, job in steps:
            if lane.tasks.get(job.id) is not task:
                continue  # it ended meanwhile
            if not hangs:
                lane.hung.discard(job.id)
                continue
            lane.hung.add(job.id)
            if name == SUBMIT:
                ctx.ahead.ended(job.id)
        if hangs:
            ctx.bell.wake()


async def _require(place: Place, name: str) -> None:
    """Raise PauseService unless the disks that this lane's steps use are there and answer."""
    await (place.demand_results() if name == FILE else place.demand_outbox())
    if name != FETCH:
        await place.require_inbox()
