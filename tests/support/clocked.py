"""A context on a clock of the test's own: a real journal, everything else as the service has it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.disks.places import Place
from stemwatch.job import Identity, Job, JobState, Options
from stemwatch.journal.journal import Journal
from stemwatch.service.watchdog import Vital
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.wires import SEPARATE, open_api
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.budget import Budget
from stemwatch.workers.pacing.gate import Gate
from stemwatch.workers.pacing.polls import Polls
from stemwatch.workers.pacing.request_budget import RequestBudget
from stemwatch.workers.pacing.slots import Slots
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pacing.uploads_ahead import Ahead
from stemwatch.workers.pool.turns import Pool
from stemwatch.workers.progress import Progress
from tests.support.waiting import Clock

NOW = 1_800_000_000.0


def in_context(
    folder: Path, work: Callable[[Context, Clock], Awaitable[None]], wire: str = SEPARATE
) -> None:
    """Run `work` with a real journal and everything else as the service has it."""
    clock = Clock(100.0)
    slots, polls = Slots(3, 60.0, clock), Polls(3.0, 0.5, 300.0, 30.0)

    async def run() -> None:
        journal = Journal(str(folder / "journal"), clock=lambda: NOW + clock.now)
        api = open_api(wire, Calls("http://127.0.0.1:9/v1", None))
        ctx = Context(
            journal=journal,
            api=api,
            audio=AudioHelper(idle=1.0),
            places={None: Place(outbox=str(folder))},
            budget=Budget(price=0.1, per_day=None, per_month=None),
            gate=Gate(Timing(), clock, random.Random(1)),
            slots=slots,
            polls=polls,
            ahead=Ahead(Timing(), slots, polls, clock, lambda: None),
            requests=RequestBudget(6000, clock),
            progress=Progress(),
            timing=Timing(),
            local=False,
            now=lambda: NOW + clock.now,
            clock=clock,
            rng=random.Random(1),
        )
        try:
            await work(ctx, clock)
        finally:
            await ctx.api.aclose()
            journal.close()

    asyncio.run(run())


async def a_job(ctx: Context, state: JobState = JobState.QUEUED) -> Job:
    """One song in this state, with a remote id where that state has one."""
    job = await ctx.journal.add(
        Job(
            id=0,
            state=JobState.QUEUED,
            path="/in/song.wav",
            relpath="song.wav",
            identity=Identity(1, 2, 3, 4),
            sha256="abc",
            content_key="abc:2:wav:api",
            options=Options(),
            outbox=ctx.places[None].outbox,
        )
    )
    if state is JobState.QUEUED:
        return job
    job = await ctx.journal.intend(job, idempotency_key="key", minutes=1.0, price=0.1, limits=[])
    if state is JobState.SUBMITTING:
        return job
    job = await ctx.journal.advance(job, JobState.SEPARATING, remote_id="job_1")
    ctx.polls.started(job.id, ctx.clock())
    if state is JobState.SEPARATING:
        return job
    return await ctx.journal.advance(job, JobState.SEPARATED, completed_at=1.0)


class _Rounds:
    def standstill(self) -> float:
        return 0.0


def vital(ctx: Context) -> Vital:
    """A watchdog over rounds that never stand still."""
    return Vital(_Rounds(), ctx.journal, Pool(ctx), rescan=lambda: 60.0, longest_call=lambda: 600.0)
