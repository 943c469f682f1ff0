"""A job that is late, by a clock that may be wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stemwatch.errors import Reject
from stemwatch.job import Job, JobState, resume_state
from stemwatch.stemsplit.interface import RemoteJob, RemoteStatus
from stemwatch.workers.context import Context
from stemwatch.workers.steps.follow import follow
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job
from tests.support.telling_wire import Wire

_WEEKS = 20 * 86400.0


class _Running(Wire):
    """A remote whose jobs never end."""

    async def job(self, remote_id: str, *, stems: int) -> RemoteJob:  # noqa: ARG002
        return RemoteJob(RemoteStatus.RUNNING)


async def _submitted(ctx: Context) -> Job:
    """A job that is at the remote since just now, on a clock that is weeks behind."""
    ctx.api = _Running()
    job = await ctx.journal.add(
        new_job(state=JobState.SEPARATING, remote_id="r", submitted_at=ctx.now() - _WEEKS)
    )
    ctx.polls.resumed(job.id, ctx.clock(), remote_id="r")
    return job


def test_a_clock_that_is_set_right_loses_no_job(tmp_path: Path) -> None:
    """Only the clock says that it is old: it is asked for as long as any other, at least."""

    async def scenario() -> None:
        async with context_of(Home(tmp_path, "http://127.0.0.1:9/v1")) as ctx:
            job = await _submitted(ctx)
            assert (await follow(ctx, job)).state is JobState.SEPARATING

    asyncio.run(scenario())


def test_a_job_that_runs_for_weeks_is_never_paid_for_again(tmp_path: Path) -> None:
    """A person has to look; their retry asks for it, and has as long to find it done."""

    async def scenario() -> None:
        async with context_of(Home(tmp_path, "http://127.0.0.1:9/v1")) as ctx:
            job = await _submitted(ctx)
            started = ctx.clock()
            ctx.clock = lambda: started + ctx.polls.late_after + 1.0
            with pytest.raises(Reject) as overdue:
                await follow(ctx, job)
            assert "pays nothing" in overdue.value.hint
            retried = job.evolve(code=overdue.value.code)
            assert resume_state(retried) is JobState.SEPARATING

    asyncio.run(scenario())
