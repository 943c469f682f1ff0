"""A fault of the server that one song meets while others are served, on a clock of the test's own.

An outage serves nobody: it must send no song to quarantine, however often it ends and begins again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stemwatch.codes import POLL, SUBMIT, Code
from stemwatch.errors import PauseService, RetryLater, StemwatchError, Unconfirmed
from stemwatch.job import Job, JobState, resumed_fields
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.wires import PRESIGNED, SEPARATE, open_api
from stemwatch.workers.context import Context
from stemwatch.workers.holding_back import hold_others
from stemwatch.workers.pool.outcome import conclude
from stemwatch.workers.pool.pause_probes import probe
from stemwatch.workers.steps.own_fault import not_taken, spared
from tests.support.clocked import a_job, in_context
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import Clock

QUEUED, SEPARATING, QUARANTINED = JobState.QUEUED, JobState.SEPARATING, JobState.QUARANTINED
PAID = (SEPARATING, JobState.SEPARATED)
OTHER = 99  # a song that is served


def failing(status: int | None = 500, after: float | None = None) -> RetryLater:
    code = Code.UNREACHABLE if status is None else Code.SERVER_ERROR
    return RetryLater("no.", code=code, server_down=True, http_status=status, after=after)


def busy(status: int) -> RetryLater:
    return RetryLater("no.", code=Code.BUSY, http_status=status)


def limited(after: float | None = None) -> RetryLater:
    code = Code.RATE_LIMITED
    return RetryLater("no.", code=code, counts=False, http_status=429, after=after)


def refused(code: str = Code.AUTH) -> PauseService:
    return PauseService("no.", code=code, hint="h", http_status=403)


async def met(ctx: Context, clock: Clock, job: Job, fault: StemwatchError) -> Job:
    """The job after one more such fault, when its wait is over."""
    await conclude(ctx, job, fault)
    found = await ctx.journal.get(job.id)
    assert found is not None
    clock.now += max(1.0, found.not_before - ctx.now())
    return found


def served(ctx: Context, clock: Clock, kind: str) -> None:
    """Another song's call, begun and answered well just now."""
    ctx.memory.overtaken.served(kind, clock.now, OTHER)
    ctx.gate.answered(clock.now)
    if kind == SUBMIT:
        ctx.gate.accepted(clock.now)
    clock.now += 1.0


@pytest.mark.parametrize("fault", [failing(), busy(409), busy(425)], ids=["500", "409", "425"])
def test_a_song_that_fails_while_others_are_taken_goes_to_quarantine(
    tmp_path: Path, fault: RetryLater
) -> None:
    """Five tries, each after another song was taken; its first fault may be everybody's.

    Two songs of one odd album are no outage either.
    """

    async def work(ctx: Context, clock: Clock) -> None:
        jobs = [await met(ctx, clock, await a_job(ctx), fault) for _ in range(2)]
        for _ in range(5):
            assert [job.state for job in jobs] == [QUEUED] * 2
            served(ctx, clock, SUBMIT)
            jobs = [await met(ctx, clock, job, fault) for job in jobs]
        for job in jobs:
            assert (job.state, job.code, job.attempts) == (QUARANTINED, fault.code, 5)
            assert job.http_status == fault.http_status
        assert ctx.gate.closed(SUBMIT) is None

    in_context(tmp_path, work)


async def limited_at_submission(ctx: Context, clock: Clock, job: Job) -> Job:
    """As `submit` has it: whom the fault holds up is decided before anything is awaited."""
    fault = spared(ctx, job, limited())
    hold_others(ctx, job, fault)
    assert isinstance(fault, StemwatchError)
    return await met(ctx, clock, job, fault)


def test_a_song_whose_submission_alone_gets_429_waits_alone(tmp_path: Path) -> None:
    """It held up everybody: being the oldest, it was the first one after each pause.

    The account's limit may look the same, if somebody else uses it: it is never given up.
    """

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx)
        for times in range(40):
            now = ctx.now()
            job = await limited_at_submission(ctx, clock, job)
            assert (ctx.gate.since(Code.RATE_LIMITED, None) is None) is (times > 4)
            assert (job.not_before - now >= ctx.timing.missing_gap) is (times >= 4)
            served(ctx, clock, SUBMIT)
        assert (job.state, job.code, job.attempts) == (QUEUED, Code.BUSY, 0)
        assert ctx.counters.rate_limited == 40

    in_context(tmp_path, work)


@pytest.mark.parametrize("state", PAID)
@pytest.mark.parametrize("after", [None, 60.0])
def test_a_job_whose_polls_alone_get_429_waits_alone(
    tmp_path: Path, state: JobState, after: float | None
) -> None:
    """Each of them held all polls and submissions. It is paid for, and asked for until it is over.

    Where it is the only one to be asked for, it lets songs be submitted in between.
    """

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx, state)
        clock.now += 400.0  # late
        for _ in range(9):
            job = await met(ctx, clock, job, limited(after))
        assert ctx.gate.since(Code.RATE_LIMITED, None) is not None
        assert ctx.gate.closed(SUBMIT) is None  # its own wait, which is over, was longer
        ctx.gate.reopen(Code.RATE_LIMITED)
        for _ in range(5):
            served(ctx, clock, POLL)
            ctx.gate.reopen(Code.RATE_LIMITED)
            now = ctx.now()
            job = await met(ctx, clock, job, limited(after))
            assert job.not_before - now >= ctx.timing.missing_gap
        assert ctx.gate.pauses == []
        assert (job.state, job.code, job.http_status) == (state, Code.BUSY, 429)
        assert (ctx.polls.next_due() or clock.now) <= clock.now  # none is held
        clock.now += ctx.timing.retention
        served(ctx, clock, POLL)
        job = await met(ctx, clock, job, limited(after))
        assert (job.state, job.code, job.remote_id) == (QUARANTINED, Code.OVERDUE, "job_1")

    in_context(tmp_path, work)


def test_a_limit_that_everybody_meets_holds_everybody(tmp_path: Path) -> None:
    """For weeks, if it must: nothing of it is given up, and no 429 adds to other failures."""

    async def work(ctx: Context, clock: Clock) -> None:
        job, queued = await a_job(ctx, SEPARATING), await a_job(ctx)
        while clock.now < 2 * ctx.timing.retention:
            job = await met(ctx, clock, job, limited(3600.0))
            assert ctx.gate.since(Code.RATE_LIMITED, None) is not None
            queued = await limited_at_submission(ctx, clock, queued)
            clock.now += 10 * ctx.timing.retry_after_max
        for _ in range(4):
            queued = await met(ctx, clock, queued, failing())
            served(ctx, clock, SUBMIT)
            queued = await limited_at_submission(ctx, clock, queued)
            served(ctx, clock, SUBMIT)
        assert (job.state, queued.state) == (SEPARATING, QUEUED)

    in_context(tmp_path, work)


async def unanswered(ctx: Context, job: Job) -> Job:
    """The song, queued again: the list has no job of a submission that got a gateway's 502."""
    job = await ctx.journal.intend(job, idempotency_key="key", minutes=1.0, price=0.1, limits=[])
    fault = Unconfirmed("no.", http_status=502)
    hold_others(ctx, job, fault)
    await conclude(ctx, job, fault)
    found = await ctx.journal.get(job.id)
    assert found is not None
    return await ctx.journal.take_back(found, Code.NOT_LISTED)


@pytest.mark.parametrize("songs", [1, 2, 3])
def test_a_song_that_alone_is_never_answered_and_never_taken_is_given_up(
    tmp_path: Path, songs: int
) -> None:
    """Each of its tries is a whole upload, and a pause for everybody. Three songs are an outage."""

    async def work(ctx: Context, clock: Clock) -> None:
        jobs = [await a_job(ctx) for _ in range(songs)]
        for times in range(20):
            jobs = [await unanswered(ctx, job) for job in jobs]
            clock.now += 1.0
            given_up = [not_taken(ctx, job) for job in jobs]
            if songs == 3 or times < 5:
                assert given_up == [None] * songs
            else:
                told = {(fault.code, fault.attempts) for fault in given_up if fault is not None}
                assert told == {(Code.SERVER_ERROR, times)}
            served(ctx, clock, SUBMIT)

    in_context(tmp_path, work, wire=PRESIGNED)


def test_a_song_that_was_given_up_without_an_answer_is_submitted_as_the_same(
    tmp_path: Path,
) -> None:
    """Its last submission may be taken after all, late: another key would pay for it twice."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx)
        for _ in range(6):
            job = await unanswered(ctx, job)
            clock.now += 1.0
            served(ctx, clock, SUBMIT)
        fault = not_taken(ctx, job)
        assert fault is not None
        await conclude(ctx, job, fault)
        given_up = await ctx.journal.get(job.id)
        assert given_up is not None
        assert given_up.state is QUARANTINED
        assert resumed_fields(given_up)["idempotency_key"] == "key"

    in_context(tmp_path, work, wire=PRESIGNED)


SAY_NOTHING: dict[str, Callable[[], StemwatchError]] = {
    "no answer: it may be the line's": lambda: failing(None),
    "a time to come back": lambda: failing(503, after=10.0),
}


@pytest.mark.parametrize("fault", SAY_NOTHING.values(), ids=SAY_NOTHING)
def test_what_is_no_songs_fault_is_waited_for(
    tmp_path: Path, fault: Callable[[], StemwatchError]
) -> None:
    """However many others are taken meanwhile. Each try costs an upload, so its waits grow.

    The whole song was sent every minute, for good, where a proxy cut its upload off each time.
    """

    async def work(ctx: Context, clock: Clock) -> None:
        job, waits = await a_job(ctx), []
        for _ in range(20):
            now = ctx.now()
            job = await met(ctx, clock, job, fault())
            waits.append(job.not_before - now)
            assert ctx.gate.closed(SUBMIT) is None
            served(ctx, clock, SUBMIT)
        assert (job.state, job.attempts) == (QUEUED, 0)
        assert max(waits[:5]) <= ctx.timing.retry_max
        assert waits[5:11] == [200.0, 400.0, 800.0, 1600.0, 3200.0, 3600.0]
        assert waits[-1] == ctx.timing.retry_after_max

    in_context(tmp_path, work)


@pytest.mark.parametrize("fault", SAY_NOTHING.values(), ids=SAY_NOTHING)
def test_an_outage_has_the_waits_of_such_a_song_begin_anew(
    tmp_path: Path, fault: Callable[[], StemwatchError]
) -> None:
    """They must not be long after each outage of a service that runs for years."""

    async def work(ctx: Context, clock: Clock) -> None:
        job, other = await a_job(ctx), await a_job(ctx)
        for _ in range(7):
            job = await met(ctx, clock, job, fault())
            served(ctx, clock, SUBMIT)
        while ctx.gate.closed(SUBMIT) is None:  # everybody's outage
            job, other = [await met(ctx, clock, one, failing(None)) for one in (job, other)]
        served(ctx, clock, SUBMIT)
        now = ctx.now()
        job = await met(ctx, clock, job, fault())
        assert job.not_before - now <= ctx.timing.retry_max

    in_context(tmp_path, work)


def test_an_outage_that_finds_a_song_alone_is_waited_for(tmp_path: Path) -> None:
    """Others were taken once, since its first fault: that says nothing of the tries that follow."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await met(ctx, clock, await a_job(ctx), failing())
        served(ctx, clock, SUBMIT)
        for _ in range(30):
            job = await met(ctx, clock, job, failing())
        assert job.state is QUEUED
        assert ctx.gate.closed(SUBMIT) is not None

    in_context(tmp_path, work)


def test_an_outage_that_begins_again_and_again_is_waited_for(tmp_path: Path) -> None:
    """In each of them the same songs fail, and between them only others are taken."""

    async def work(ctx: Context, clock: Clock) -> None:
        jobs = [await a_job(ctx) for _ in range(3)]
        for _ in range(20):
            for _ in range(2):
                jobs = [await met(ctx, clock, job, failing()) for job in jobs]
            assert ctx.gate.closed(SUBMIT) is not None
            served(ctx, clock, SUBMIT)
            assert ctx.gate.closed(SUBMIT) is None
        assert [job.state for job in jobs] == [QUEUED] * 3

    in_context(tmp_path, work)


REFUSED: dict[str, dict[str, Any]] = {
    Code.AUTH: {"status": 401, "times": "ever"},
    Code.ENDPOINT: {"redirect": "{origin}/", "status": 308, "times": "ever"},
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_key_that_is_refused_again_and_again_is_waited_for(tmp_path: Path, code: Code) -> None:
    """As above, with refusals: somebody changes the key and back, or a proxy comes and goes.

    The free question is refused as well, which tells it from songs that are refused alone.
    """

    async def work(ctx: Context, clock: Clock) -> None:
        with ScenarioServer(wire=SEPARATE) as server:
            server.scenario(get=[REFUSED[code]])
            await ctx.api.aclose()
            ctx.api = open_api(SEPARATE, Calls(server.url, None))
            jobs = [await a_job(ctx) for _ in range(3)]
            for _ in range(5):
                for _ in range(2):
                    jobs = [await met(ctx, clock, job, refused(code)) for job in jobs]
                (pause,) = ctx.gate.pauses
                await probe(ctx, pause)
                assert [pause.code for pause in ctx.gate.pauses] == [code]
                ctx.gate.reopen(code)
                served(ctx, clock, SUBMIT)
            assert [job.state for job in jobs] == [QUEUED] * 3

    in_context(tmp_path, work)


@pytest.mark.parametrize("code", REFUSED)
def test_an_album_whose_submissions_alone_are_refused_goes_to_quarantine(
    tmp_path: Path, code: Code
) -> None:
    """The free question is answered each time: four songs with an odd name are no outage."""

    async def work(ctx: Context, clock: Clock) -> None:
        jobs = [await a_job(ctx) for _ in range(4)]
        for _ in range(4):
            assert [job.state for job in jobs] == [QUEUED] * 4
            for at, job in enumerate(jobs):
                hold_others(ctx, job, refused(code))
                jobs[at] = await met(ctx, clock, job, refused(code))
                ctx.gate.reopen(code)  # the probe
            served(ctx, clock, SUBMIT)
        assert [job.state for job in jobs] == [QUARANTINED] * 4

    in_context(tmp_path, work)


def test_a_song_that_is_served_once_begins_anew(tmp_path: Path) -> None:
    """So does one that meets another kind of fault."""

    async def work(ctx: Context, _: Clock) -> None:
        overtaken = ctx.memory.overtaken
        for number in range(1, 4):
            overtaken.failed(POLL, Code.SERVER, number, 0.0)
        overtaken.served(POLL, 1.0, OTHER)
        overtaken.served(POLL, 1.0, 1)
        assert overtaken.failed(POLL, Code.SERVER, 1, 2.0) == 0
        assert overtaken.failed(POLL, Code.AUTH, 2, 2.0) == 0
        assert overtaken.failed(POLL, Code.SERVER, 3, 2.0) == 1
        overtaken.forget(3)
        assert overtaken.remembered() == {1, 2}

    in_context(tmp_path, work)


def test_what_was_let_in_before_an_outage_shows_nothing(tmp_path: Path) -> None:
    """An answer that comes during it may be that of a request before it. Other calls neither."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx)
        for _ in range(20):
            before = clock.now
            clock.now += 1.0
            job = await met(ctx, clock, job, failing())
            ctx.memory.overtaken.served(SUBMIT, before, OTHER)
            ctx.memory.overtaken.served(POLL, clock.now, OTHER)
        assert job.state is QUEUED

    in_context(tmp_path, work)


@pytest.mark.parametrize("code", [Code.AUTH, Code.ENDPOINT])
def test_a_song_whose_submission_alone_is_refused_goes_to_quarantine(
    tmp_path: Path, code: Code
) -> None:
    """Its tries are whole uploads, each of which paused everybody."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await met(ctx, clock, await a_job(ctx), refused(code))
        for _ in range(3):
            assert job.state is QUEUED
            served(ctx, clock, SUBMIT)
            assert ctx.gate.pauses == []
            job = await met(ctx, clock, job, refused(code))
        assert (job.state, job.code, job.attempts) == (QUARANTINED, code, 3)
        assert "submits it again" in (job.hint or "")

    in_context(tmp_path, work)


@pytest.mark.parametrize("state", PAID)
@pytest.mark.parametrize("code", [Code.AUTH, Code.CREDIT])
def test_a_job_that_alone_is_refused_is_given_up_with_its_id(
    tmp_path: Path, state: JobState, code: Code
) -> None:
    """The first time it may be the key: a pause. Its end by a free question shows the key is good.

    A job that nothing was answered beside begins that pause again, to have the question asked.
    """

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx, state)
        for times in range(1, 4):
            job = await met(ctx, clock, job, refused(code))
            assert [pause.code for pause in ctx.gate.pauses] == [code]
            assert job.state is state
            ctx.memory.overtaken.served(POLL, clock.now)  # the probe
            served(ctx, clock, POLL)
            ctx.gate.reopen(code)
            now = ctx.now()
            job = await met(ctx, clock, job, refused(code))
            assert ctx.gate.pauses == []
            if times < 3:
                assert job.not_before - now == ctx.timing.missing_gap
        assert (job.state, job.code, job.attempts) == (QUARANTINED, code, 3)
        assert (job.remote_id, job.http_status) == ("job_1", 403)
        assert "pays nothing" in (job.hint or "")

    in_context(tmp_path, work)


@pytest.mark.parametrize("code", [Code.AUTH, Code.CREDIT])
def test_a_submission_in_doubt_whose_list_alone_is_refused_waits_alone(
    tmp_path: Path, code: Code
) -> None:
    """It began the same pause after each good answer of the probe. It may be charged: it is told.

    A person can look for it where the service may not.
    """

    async def work(ctx: Context, clock: Clock) -> None:
        job = await ctx.journal.amend(await a_job(ctx, JobState.SUBMITTING), code=Code.UNANSWERED)
        job = await met(ctx, clock, job, refused(code))
        assert [pause.code for pause in ctx.gate.pauses] == [code]
        ctx.memory.overtaken.served(POLL, clock.now)  # the probe
        ctx.gate.reopen(code)
        for _ in range(3):
            assert job.state is JobState.SUBMITTING
            served(ctx, clock, POLL)
            now = ctx.now()
            job = await met(ctx, clock, job, refused(code))
            assert ctx.gate.pauses == []
            if job.state is JobState.SUBMITTING:
                assert job.not_before - now == ctx.timing.missing_gap
        assert (job.state, job.code) == (QUARANTINED, Code.SUBMISSION_UNCONFIRMED)
        assert "may be charged again" in (job.hint or "")

    in_context(tmp_path, work, wire=PRESIGNED)


def test_a_list_that_is_not_there_for_a_moment_is_asked_again_in_minutes(tmp_path: Path) -> None:
    """A gateway answers 404 while the API is begun anew; a person would have had to look for it."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await ctx.journal.amend(await a_job(ctx, JobState.SUBMITTING), code=Code.UNANSWERED)
        now = ctx.now()
        fault = RetryLater("no such endpoint.", code=Code.ENDPOINT, http_status=404)
        job = await met(ctx, clock, job, fault)
        assert job.state is JobState.SUBMITTING
        assert job.not_before - now == ctx.timing.missing_gap

    in_context(tmp_path, work, wire=PRESIGNED)


@pytest.mark.parametrize("state", PAID)
def test_where_every_question_is_answered_but_those_about_jobs_none_is_given_up(
    tmp_path: Path, state: JobState
) -> None:
    """All that is paid for would go to quarantine, each as the one that is refused alone.

    After most of a day it does: it may be one job that holds the only slot.
    """

    async def work(ctx: Context, clock: Clock) -> None:
        job, began, tries = await a_job(ctx, state), clock.now, 0
        while job.state is state:
            job = await met(ctx, clock, job, refused())
            ctx.memory.overtaken.served(POLL, clock.now)  # the probe
            ctx.gate.reopen(Code.AUTH)
            tries += 1
        assert clock.now - began > 12 * 3600
        assert tries < 1000

    in_context(tmp_path, work)


def test_a_key_that_is_refused_for_everybody_gives_up_nothing(tmp_path: Path) -> None:
    """No question is answered meanwhile. What is not the key's, a long song's credit, neither."""

    async def work(ctx: Context, clock: Clock) -> None:
        job, queued = await a_job(ctx, SEPARATING), await a_job(ctx)
        for _ in range(20):
            job = await met(ctx, clock, job, refused())
            ctx.gate.reopen(Code.AUTH)  # without a question: such as by a reload
            queued = await met(ctx, clock, queued, refused(Code.CREDIT))
            served(ctx, clock, SUBMIT)  # a shorter one
        assert (job.state, queued.state) == (SEPARATING, QUEUED)

    in_context(tmp_path, work)


@pytest.mark.parametrize("answered", [True, False])
def test_a_job_whose_polls_fail_is_late_and_overdue_like_any_other(
    tmp_path: Path, answered: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the only slot, too: the free question that ends each pause shows that it is its own.

    In an outage of weeks no question is answered, and the job is asked for when that is over.
    """

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx, SEPARATING)
        clock.now += 400.0
        pauses = 0
        while ctx.now() - (job.submitted_at or 0.0) < ctx.timing.retention + 86400.0:
            job = await met(ctx, clock, job, failing())
            if job.state is QUARANTINED:
                break
            if ctx.gate.closed(POLL) is not None:
                pauses += 1
                if answered:
                    ctx.memory.overtaken.served(POLL, clock.now)
                ctx.gate.reopen(Code.SERVER)
                clock.now += 43_200.0
        age = ctx.now() - (job.submitted_at or 0.0)
        assert pauses > 20
        if answered:
            assert (job.state, job.code, job.remote_id) == (QUARANTINED, Code.OVERDUE, "job_1")
            assert 0.0 <= age - ctx.timing.retention < 86400.0
        else:
            assert job.state is SEPARATING

    in_context(tmp_path, work)
    assert capsys.readouterr().err.count("job.late") == 1
