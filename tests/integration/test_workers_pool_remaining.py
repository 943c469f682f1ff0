"""What `run --once` waits for, and what it ends without."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stemwatch.codes import CONFIRM, FILE
from stemwatch.errors import PauseService
from stemwatch.job import Job, JobState
from stemwatch.stemsplit.interface import RemoteJob, RemoteStatus
from stemwatch.workers.context import Context
from stemwatch.workers.pool.adopting import adopt
from stemwatch.workers.pool.turns import Pool
from stemwatch.workers.steps.follow import follow
from tests.support.clocked import a_job, in_context
from tests.support.stepwise import stepwise
from tests.support.telling_wire import Wire
from tests.support.waiting import Clock

DONE = RemoteJob(RemoteStatus.COMPLETED)


class _Completed(Wire):
    """A remote whose jobs are done."""

    async def job(self, remote_id: str, *, stems: int) -> RemoteJob:  # noqa: ARG002
        return DONE


async def separated(ctx: Context) -> Job:
    """A song whose last poll is over."""
    job = await a_job(ctx, JobState.SEPARATED)
    ctx.polls.done(job.id, ctx.clock(), learn=False)
    return job


def away(ctx: Context) -> None:
    """A disk is away, and was looked at once in vain."""
    ctx.gate.pause(PauseService("away.", code="disk"))
    ctx.gate.in_vain(ctx.gate.pauses[-1])


@pytest.mark.parametrize("code", ["disk", "storage"])
def test_the_first_try_of_a_pause_is_waited_for(tmp_path: Path, code: str) -> None:
    """What one song's folder caused is over then: paid stems were left at the server."""

    async def work(ctx: Context, _: Clock) -> None:
        pool = Pool(ctx)
        await separated(ctx)
        ctx.gate.pause(PauseService("for a moment, or longer.", code=code))
        assert not await pool.stuck()
        ctx.gate.in_vain(ctx.gate.pauses[0])
        assert await pool.stuck()

    in_context(tmp_path, work)


def test_a_first_try_that_another_pause_holds_back_is_not_waited_for(tmp_path: Path) -> None:
    """The key is refused as well: a person has to mend that before any download can try."""

    async def work(ctx: Context, clock: Clock) -> None:
        pool = Pool(ctx)
        await separated(ctx)
        for code in ("storage", "auth"):
            ctx.gate.pause(PauseService("for long.", code=code))
        assert not await pool.stuck()
        clock.now += 2 * (ctx.timing.disk_recheck + ctx.timing.disk_answer)
        assert await pool.stuck()

    in_context(tmp_path, work)


@pytest.mark.parametrize("disk", [True, False])
def test_stems_whose_addresses_were_just_told_are_fetched_first(tmp_path: Path, disk: bool) -> None:
    """The key was refused meanwhile: the run ended between the last poll and the download."""

    async def work(ctx: Context, _: Clock) -> None:
        pool = Pool(ctx)
        job = await separated(ctx)
        ctx.gate.pause(PauseService("401.", code="auth"))
        assert await pool.stuck(), "a question about it needs the key"
        ctx.memory.fresh[job.id] = DONE
        if disk:
            away(ctx)
        assert await pool.stuck() is disk

    in_context(tmp_path, work)


def test_the_addresses_are_there_once_the_download_may_begin(tmp_path: Path) -> None:
    """A turn of the pool between the two asked for them again."""

    async def work(ctx: Context, _: Clock) -> None:
        ctx.api = _Completed()
        job = await a_job(ctx, JobState.SEPARATING)
        async for _wait in stepwise(follow(ctx, job)):
            if await state(ctx, job) is JobState.SEPARATED:
                assert ctx.memory.fresh[job.id] is DONE
        assert await state(ctx, job) is JobState.SEPARATED

    in_context(tmp_path, work)


async def state(ctx: Context, job: Job) -> JobState:
    found = await ctx.journal.get(job.id)
    assert found is not None
    return found.state


def test_a_move_that_its_disk_holds_up_is_not_waited_for(tmp_path: Path) -> None:
    """It may take days: the disk is named, and the run ends."""

    async def work(ctx: Context, _: Clock) -> None:
        pool = Pool(ctx)
        job = await separated(ctx)
        job = await ctx.journal.advance(job, JobState.DELIVERED, delivered_to="/out")
        moving = asyncio.create_task(asyncio.Event().wait())
        lane = pool._lanes[FILE]
        lane.tasks[job.id] = moving  # type: ignore[assignment]
        away(ctx)
        assert not await pool.stuck()
        lane.hung.add(job.id)
        assert await pool.stuck()
        moving.cancel()

    in_context(tmp_path, work)


def test_a_job_that_is_being_looked_for_is_not_adopted(tmp_path: Path) -> None:
    """It is at the server by the journal already, and its finder is about to plan its polls."""

    async def work(ctx: Context, _: Clock) -> None:
        pool = Pool(ctx)
        job = await a_job(ctx, JobState.SEPARATING)
        ctx.polls.done(job.id, ctx.clock(), learn=False)
        looking = asyncio.create_task(asyncio.Event().wait())
        lane = pool._lanes[CONFIRM]
        lane.tasks[job.id] = looking  # type: ignore[assignment]
        pool._unseen.turn(ctx.now(), everything=True)
        await adopt(ctx, pool._lanes, pool._unseen)
        assert job.id not in ctx.polls
        lane.tasks.clear()
        pool._unseen.turn(ctx.now(), everything=True)
        await adopt(ctx, pool._lanes, pool._unseen)
        assert job.id in ctx.polls
        looking.cancel()

    in_context(tmp_path, work)
