"""A fault of our own in a step: a pause for everybody, unless it is one song's alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwatch.codes import CONFIRM, FETCH, POLL, SUBMIT
from stemwatch.errors import PauseService
from stemwatch.job import Job, JobState
from stemwatch.workers.context import Context
from stemwatch.workers.pool.outcome import conclude
from stemwatch.workers.pool.turns import Pool
from tests.support.clocked import a_job, in_context
from tests.support.waiting import Clock

PAID = (JobState.SEPARATING, JobState.SEPARATED)


async def met(ctx: Context, job: Job) -> Job:
    """The job after one more such fault."""
    await conclude(ctx, job, TypeError("an argument that the library does not know"))
    found = await ctx.journal.get(job.id)
    assert found is not None
    return found


@pytest.mark.parametrize("state", [JobState.QUEUED, *PAID])
def test_a_fault_of_ours_pauses_and_rejects_nothing(
    tmp_path: Path, state: JobState, capsys: pytest.CaptureFixture[str]
) -> None:
    """However often it is met: the song stays where it is, and its tries are not counted."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx, state)
        ends = []
        for _ in range(8):
            found = await met(ctx, job)
            assert (found.state, found.attempts, found.filed_to) == (state, 0, None)
            for lane in (SUBMIT, CONFIRM, POLL, FETCH):
                pause = ctx.gate.closed(lane)
                assert pause is not None
                assert pause.code == "internal"
                assert "job.error" in pause.hint
            ends.append(ctx.gate.seconds_left("internal"))
            clock.now += ends[-1]
            ctx.gate.reopen("internal")
        assert ends[0] <= 30.0
        assert 150.0 <= ends[-1] <= 300.0, "more rarely, every five minutes at last"

    in_context(tmp_path, work)
    told = capsys.readouterr().err
    assert "TypeError" in told


def test_one_song_that_fails_where_others_pass_is_set_aside(tmp_path: Path) -> None:
    """A few tries, none of which holds the others; then quarantine, to be reported."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await met(ctx, await a_job(ctx))
        ctx.gate.reopen("internal")
        ctx.memory.unforeseen.passed(99, JobState.QUEUED)  # the last of the others
        for tries in range(1, 6):
            job = await met(ctx, job)
            assert ctx.gate.closed(SUBMIT) is None
            if tries < 5:
                assert (job.state, job.attempts) == (JobState.QUEUED, tries)
            clock.now = job.not_before
        assert (job.state, job.code) == (JobState.QUARANTINED, "internal")
        assert "report" in (job.hint or "")

    in_context(tmp_path, work)


def test_one_run_waits_for_the_try_that_tells_whose_fault_it_is(tmp_path: Path) -> None:
    """Others may pass the step only when the song's tries are used up: it has one more then."""

    async def work(ctx: Context, clock: Clock) -> None:
        pool = Pool(ctx)
        job = await a_job(ctx)
        for _ in range(5):
            await met(ctx, job)
            clock.now += ctx.gate.seconds_left("internal")
        assert await pool.stuck(), "nobody else is there to show anything"
        ctx.memory.unforeseen.passed(99, JobState.QUEUED)
        assert not await pool.stuck()
        await ctx.journal.advance(job, JobState.GONE)
        assert await pool.stuck(), "a song that was taken back is not waited for"

    in_context(tmp_path, work)


def test_others_that_pass_another_step_prove_nothing(tmp_path: Path) -> None:
    """Uploads that work do not show that downloads do."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx, JobState.SEPARATED)
        for _ in range(3):
            ctx.memory.unforeseen.passed(99, JobState.QUEUED)
            await met(ctx, job)
            assert ctx.gate.closed(FETCH) is not None
            ctx.gate.reopen("internal")

    in_context(tmp_path, work)


def test_a_pause_that_is_met_again_and_again_is_tested_all_the_same(tmp_path: Path) -> None:
    """The inbox meets a broken helper at each look: its test must not be put off each time."""

    async def work(ctx: Context, clock: Clock) -> None:
        fault = PauseService("no helper.", code="audio_helper", hint="pip")
        ctx.gate.pause(fault)
        for _ in range(30):
            clock.now += 1.0
            ctx.gate.pause(fault)
        assert [pause.code for pause in ctx.gate.due()] == ["audio_helper"]

    in_context(tmp_path, work)
