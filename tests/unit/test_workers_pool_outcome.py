"""What a fault means for its job: docs/troubleshooting.md, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stemwatch.codes import SUBMIT
from stemwatch.disks.places import Place
from stemwatch.errors import JournalFault, PauseService, Reject, RetryLater, TakenBack, Unconfirmed
from stemwatch.job import Identity, Job, JobState
from stemwatch.journal.journal import AlreadyPaid, OverBudget, StaleJob
from stemwatch.workers.context import Context
from stemwatch.workers.pool.outcome import conclude
from stemwatch.workers.steps.own_trouble import wake_all
from tests.support.clocked import a_job, in_context
from tests.support.waiting import Clock


async def after_faults(
    ctx: Context, clock: Clock, job: Job, fault: Callable[[], Exception], most: int
) -> tuple[JobState, list[float]]:
    """The state and the waits, in seconds, of up to `most` of the same fault in a row."""
    waits = []
    for _ in range(most):
        await conclude(ctx, job, fault())
        found = await ctx.journal.get(job.id)
        assert found is not None
        job = found
        if job.state is JobState.QUARANTINED:
            break
        waits.append(job.not_before - ctx.now())
        clock.now += max(0.0, waits[-1])
    return job.state, waits


S, P = JobState.SEPARATED, JobState.SEPARATING
# code -> state of the job, tries before a person has to look (None: never), code of the reason
COUNTED = [
    ("job_missing", P, 3, "job_lost"),
    ("bad_answer", P, 5, "bad_answer"),
    ("bad_stem", S, 3, "bad_stem"),
    ("short_body", S, 3, "short_body"),
    ("url_expired", S, 4, "url_expired"),
    ("too_slow", S, 5, "too_slow"),
    ("oversized_body", S, 5, "oversized_body"),
    ("internal", P, 5, "internal"),
]
PATIENT = ["unreachable", "server_error", "busy", "network"]


@pytest.mark.parametrize(("code", "state", "tries", "reason"), COUNTED)
def test_a_jobs_own_faults_are_counted(
    tmp_path: Path, code: str, state: JobState, tries: int, reason: str
) -> None:
    """So many in a row, then quarantine: with the number of attempts, the remote id kept."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx, state)
        ended, waits = await after_faults(
            ctx, clock, job, lambda: RetryLater("no.", code=code, http_status=200), 9
        )
        assert (ended, len(waits)) == (JobState.QUARANTINED, tries - 1)
        found = await ctx.journal.get(job.id)
        assert found is not None
        assert (found.code, found.attempts, found.remote_id) == (reason, tries, "job_1")
        assert found.hint
        if code == "job_missing":
            assert waits == pytest.approx([200.0, 200.0])  # three asks over ten minutes
        assert job.id not in ctx.polls

    in_context(tmp_path, work)


@pytest.mark.parametrize("code", PATIENT)
def test_the_way_to_the_server_is_waited_for(tmp_path: Path, code: str) -> None:
    """Not the song's fault: 2 to 60 s with jitter, for as long as it takes."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx)
        ended, waits = await after_faults(
            ctx, clock, job, lambda: RetryLater("no.", code=code, server_down=True), 12
        )
        assert ended is JobState.QUEUED
        assert 1 <= waits[0] <= 2
        assert all(30 <= wait <= 60 for wait in waits[6:])
        assert ctx.gate.closed(SUBMIT) is not None

    in_context(tmp_path, work)


@pytest.mark.parametrize(
    ("after", "waits"), [(30.0, 30.0), (0.0, 0.0), (1e9, 3600.0)], ids=["30", "0", "too long"]
)
def test_a_429_costs_no_attempt_and_lowers_the_slots(
    tmp_path: Path, after: float, waits: float
) -> None:
    """Retry-After, clamped to an hour, holds the song and everybody's submissions."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx)
        await conclude(ctx, job, RetryLater("no.", code="rate_limited", counts=False, after=after))
        found = await ctx.journal.get(job.id)
        assert found is not None
        assert (found.attempts, found.state) == (0, JobState.QUEUED)
        assert found.not_before - ctx.now() == pytest.approx(waits)
        assert ctx.gate.seconds_left("rate_limited") == waits
        assert (ctx.gate.closed(SUBMIT) is None) is (waits == 0)

    in_context(tmp_path, work)


@pytest.mark.parametrize("state", [JobState.QUEUED, P, S])
def test_a_429_without_a_time_never_storms(tmp_path: Path, state: JobState) -> None:
    """Submissions, polls and downloads alike wait 2 to 60 s, longer each time."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx, state)

        def limited() -> Exception:
            ctx.gate.reopen("rate_limited")  # as the pool does once its time is over
            return RetryLater("no.", code="rate_limited", counts=False)

        _, waits = await after_faults(ctx, clock, job, limited, 6)
        lows = (1, 2, 4, 8, 16, 30)
        assert all(wait >= low - 1e-3 for wait, low in zip(waits, lows, strict=True)), waits
        if state is P:
            assert ctx.polls.next_due() == pytest.approx(clock.now)

    in_context(tmp_path, work)


@pytest.mark.parametrize("code", ["blocked", "outbox_blocked"])
def test_a_file_in_the_way_is_waited_for_ever_more_rarely(tmp_path: Path, code: str) -> None:
    """A person has to move it away: never given up, and not tried every two seconds for years."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx, S)
        ended, waits = await after_faults(
            ctx, clock, job, lambda: RetryLater("no.", code=code, counts=False), 12
        )
        found = await ctx.journal.get(job.id)
        assert found is not None
        assert (ended, found.attempts) == (S, 0)
        assert 1 <= waits[0] <= 2
        assert all(30 <= wait <= 60 for wait in waits[6:])

    in_context(tmp_path, work)


def test_a_refusal_quarantines_with_its_words(tmp_path: Path) -> None:
    """The reason keeps code, message, hint, status, request id and the one attempt."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx, JobState.SUBMITTING)
        await conclude(
            ctx,
            job,
            Reject("no.", code="unsupported", hint="h", http_status=415, request_id="r"),
        )
        found = await ctx.journal.get(job.id)
        assert found is not None
        told = (found.code, found.message, found.hint, found.http_status, found.request_id)
        assert told == ("unsupported", "no.", "h", 415, "r")
        assert (found.state, found.attempts, found.filed_to) == (JobState.QUARANTINED, 1, None)

    in_context(tmp_path, work)


def test_what_is_unconfirmed_goes_to_a_person(tmp_path: Path) -> None:
    """It may have been charged: quarantined, and its booking stays."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx, JobState.SUBMITTING)
        await conclude(ctx, job, Unconfirmed("no answer."))
        found = await ctx.journal.get(job.id)
        assert found is not None
        assert (found.state, found.code) == (JobState.QUARANTINED, "submission_unconfirmed")
        assert (await ctx.journal.spent(0.0))[0] == 1.0

    in_context(tmp_path, work)


@pytest.mark.parametrize("code", ["auth", "credit", "endpoint", "disk", "inbox", "journal"])
def test_a_pause_leaves_the_job_alone(tmp_path: Path, code: str) -> None:
    """What concerns everybody costs no attempt and changes no row."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx)
        await conclude(ctx, job, PauseService("no.", code=code))
        assert await ctx.journal.get(job.id) == job
        assert [pause.code for pause in ctx.gate.pauses] == [code]

    in_context(tmp_path, work)


@pytest.mark.parametrize("state", [JobState.QUEUED, S])
@pytest.mark.parametrize(
    ("code", "gaps", "pauses"),
    # Of the disk it is known that it is well: nobody else waits any more.
    [("auth", [300.0] * 4, 1), ("disk", [15.0, 30.0, 45.0, 45.0], 0)],
)
def test_a_song_that_brings_a_pause_back_lets_the_others_go_first(
    tmp_path: Path, state: JobState, code: str, gaps: list[float], pauses: int
) -> None:
    """Met again after it was found to be over: perhaps it is this song's alone."""

    async def work(ctx: Context, clock: Clock) -> None:
        job, fault = await a_job(ctx, state), PauseService("no.", code=code, hint="h")
        for _ in range(3):  # one outage, however often it is met
            await conclude(ctx, job, fault)
            clock.now += 60.0
        held = code == "disk" or state is JobState.QUEUED  # the others wait beside that pause
        assert (await ctx.journal.get(job.id) == job) is held
        for gap in gaps:
            ctx.gate.reopen(code)
            await conclude(ctx, job, fault)
            found = await ctx.journal.get(job.id)
            assert found is not None
            assert (found.state, found.attempts) == (state, 0)
            assert (found.code, found.message, found.hint) == (code, "no.", "h")
            assert found.not_before == ctx.now() + gap
            assert len(ctx.gate.pauses) == pauses
            clock.now += gap

    in_context(tmp_path, work)


@pytest.mark.parametrize("code", ["credit", "endpoint"])
@pytest.mark.parametrize(("state", "noted"), [(S, None), (JobState.SUBMITTING, "unanswered")])
def test_a_song_that_its_own_pause_lets_go_on_waits_as_long(
    tmp_path: Path, state: JobState, noted: str | None, code: str
) -> None:
    """It was asked for again at once, and again: everybody's requests were used up.

    Nor may one that never gets to the storage be the next to try a pause for that.
    """

    async def work(ctx: Context, clock: Clock) -> None:
        job = await ctx.journal.amend(await a_job(ctx, state), code=noted)
        ctx.gate.pause(PauseService("503", code="storage"))
        for _ in range(2):  # one outage
            await conclude(ctx, job, PauseService("no.", code=code))
            found = await ctx.journal.get(job.id)
            assert found is not None
            assert (found.state, found.code) == (state, noted or code)
            assert found.not_before - ctx.now() == pytest.approx(ctx.gate.seconds_left(code))
            assert found.not_before - ctx.now() >= 15.0
            clock.now += ctx.gate.seconds_left(code)
        ctx.gate.reopen(code)
        await conclude(ctx, job, PauseService("no.", code=code))
        found = await ctx.journal.get(job.id)
        assert found is not None
        assert (found.code, found.not_before) == (noted or code, ctx.now() + 300.0)

    in_context(tmp_path, work)


def test_a_trouble_that_only_a_download_shows_costs_one_an_hour_at_last(tmp_path: Path) -> None:
    """For a quarter of an hour it is tried like any disk; then ever more rarely."""

    async def work(ctx: Context, clock: Clock) -> None:
        job, gaps = await a_job(ctx, S), []
        for _ in range(40):
            await conclude(ctx, job, PauseService("no.", code="disk"))
            found = await ctx.journal.get(job.id)
            assert found is not None
            gaps.append(found.not_before - ctx.now())
            clock.now += 60.0
            ctx.gate.reopen("disk")
        assert max(gaps[:20]) == 45.0
        assert gaps[-1] == 3600.0

    in_context(tmp_path, work)


def test_a_disk_that_is_ill_again_is_everybodys(tmp_path: Path) -> None:
    """However often a song meets it: it has no time of its own, and goes on with the others."""

    async def work(ctx: Context, clock: Clock) -> None:
        ctx.places = {None: Place(outbox=str(tmp_path / "gone"))}
        job = await a_job(ctx, S)
        for _ in range(5):
            await conclude(ctx, job, PauseService("no.", code="disk"))
            assert await ctx.journal.get(job.id) == job
            assert [pause.code for pause in ctx.gate.pauses] == ["disk"]
            clock.now += 60.0
            ctx.gate.reopen("disk")

    in_context(tmp_path, work)


def test_songs_that_meet_a_pause_do_not_put_off_its_next_look(tmp_path: Path) -> None:
    """Filing goes on trying meanwhile: the look would never come."""

    async def work(ctx: Context, clock: Clock) -> None:
        jobs = [await a_job(ctx) for _ in range(3)]
        for job in jobs:
            await conclude(ctx, job, PauseService("no.", code="disk"))
            clock.now += 7.0
        assert [pause.until for pause in ctx.gate.pauses] == [100.0 + 15.0]

    in_context(tmp_path, work)


FILING: list[Callable[[], Exception]] = [
    lambda: RetryLater("no.", code="disk_error", hint="h"),
    lambda: Reject("no.", code="internal", hint="h"),
    lambda: TypeError("of ours"),
]


@pytest.mark.parametrize("state", [JobState.DELIVERED, JobState.QUARANTINED])
@pytest.mark.parametrize("fault", FILING, ids=lambda fault: type(fault()).__name__)
def test_an_original_that_can_not_be_filed_is_never_given_up(
    tmp_path: Path, state: JobState, fault: Callable[[], Exception]
) -> None:
    """After longer and longer waits, to an hour; why and when it came into quarantine stays."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await ctx.journal.advance(await a_job(ctx, S), state, code="bad_stem", message="m")
        for tries in range(1, 13):
            await conclude(ctx, job, fault())
            found = await ctx.journal.get(job.id)
            assert found is not None
            assert found.unfiled is not None
            assert found.unfiled.tries == tries
            longest = min(15.0 * 2.0 ** (tries - 1), 3600.0)
            assert longest / 2 <= found.not_before - ctx.now() <= longest
            assert (found.code, found.message, found.attempts) == ("bad_stem", "m", 0)
            assert (found.state, found.updated_at) == (state, job.updated_at)
            clock.now += longest

    in_context(tmp_path, work)


@pytest.mark.parametrize("state", [JobState.DELIVERED, JobState.QUARANTINED])
def test_an_original_whose_disk_fails_is_tried_within_a_minute(
    tmp_path: Path, state: JobState
) -> None:
    """It is back soon after the disk is; why it is in quarantine stays told."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await ctx.journal.advance(await a_job(ctx, S), state, code="bad_stem", message="m")
        for tries, gap in enumerate((15.0, 15.0, 30.0, 45.0, 45.0), start=1):
            await conclude(ctx, job, PauseService("no.", code="disk"))
            found = await ctx.journal.get(job.id)
            assert found is not None
            assert found.unfiled is not None
            assert found.unfiled.tries == tries
            assert found.not_before == ctx.now() + gap
            assert (found.code, found.message) == ("bad_stem", "m")
            clock.now += gap
            ctx.gate.reopen("disk")

    in_context(tmp_path, work)


def test_only_the_first_try_of_an_original_holds_the_others(tmp_path: Path) -> None:
    """What it goes on to meet once the disk was found to be well is its own folder's."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await ctx.journal.advance(await a_job(ctx, S), JobState.DELIVERED)
        await conclude(ctx, job, PauseService("no.", code="disk"))
        assert ctx.gate.closed(SUBMIT) is not None
        ctx.gate.reopen("disk")
        await conclude(ctx, job, PauseService("no.", code="disk"))
        assert ctx.gate.closed(SUBMIT) is None

    in_context(tmp_path, work)


def test_a_forbidden_transition_is_loud_and_not_tried_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault of ours, such as a step that takes back what is submitted, is told with its trace."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx, JobState.SUBMITTING)
        await conclude(ctx, job, TakenBack("taken back."))
        found = await ctx.journal.get(job.id)
        assert found is not None
        assert (found.state, found.code) == (JobState.SUBMITTING, "internal")
        assert found.not_before == ctx.now() + 3600.0

    in_context(tmp_path, work)
    told = capsys.readouterr().err
    assert "job.error" in told
    assert "ForbiddenTransition" in told


def test_what_has_ended_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """The inbox was quicker: a file that was replaced is gone, whatever its step met."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx)
        gone = await ctx.journal.advance(job, JobState.GONE)
        await conclude(ctx, job, Reject("no.", code="corrupt"))
        assert await ctx.journal.get(job.id) == gone

    in_context(tmp_path, work)


@pytest.mark.parametrize(
    "fault",
    [StaleJob("moved."), AlreadyPaid("paid."), OverBudget("too much.")],
    ids=lambda fault: fault.code,
)
def test_what_somebody_else_decided_is_left_to_them(tmp_path: Path, fault: Exception) -> None:
    """No retry, no reason, no attempt."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx)
        await conclude(ctx, job, fault)
        assert await ctx.journal.get(job.id) == job

    in_context(tmp_path, work)


@pytest.mark.parametrize(
    "fault", [TakenBack("taken back."), RetryLater("it changed.", code="changed")]
)
def test_a_file_that_was_taken_back_is_gone(tmp_path: Path, fault: Exception) -> None:
    """Nothing was submitted; what has its name now is another song."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx)
        await conclude(ctx, job, fault)
        found = await ctx.journal.get(job.id)
        assert found is not None
        assert found.state is JobState.GONE

    in_context(tmp_path, work)


def test_a_broken_journal_ends_the_service(tmp_path: Path) -> None:
    """Nothing may go on that can't be remembered."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx)
        with pytest.raises(JournalFault):
            await conclude(ctx, job, JournalFault("broken."))

    in_context(tmp_path, work)


def test_a_song_that_only_got_new_tags_was_not_taken_back(tmp_path: Path) -> None:
    """The upload finds another file than it opened; the inbox knows by its sound whose it is."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx)
        await ctx.journal.amend(job, identity=Identity(1, 2, 30, 40), sha256="def")
        await conclude(ctx, job, TakenBack("changed"))
        now = await ctx.journal.get(job.id)
        assert now is not None
        assert (now.state, now.code, now.not_before) == (JobState.QUEUED, None, 0.0)
        await conclude(ctx, now, TakenBack("changed"))
        now = await ctx.journal.get(job.id)
        assert now is not None
        assert now.state is JobState.GONE

    in_context(tmp_path, work)


def test_a_song_that_was_to_pass_by_one_without_room_waits_by_itself(tmp_path: Path) -> None:
    """Each put off the look for the room of the first, and was claimed again at once."""

    async def work(ctx: Context, clock: Clock) -> None:
        long, short = await a_job(ctx), await a_job(ctx)
        full = PauseService("46 MB free.", code="room", hint="Free some.")
        await conclude(ctx, long, full)
        before = ctx.gate.pauses
        assert [pause.code for pause in before] == ["room"]
        clock.now += 9.0
        await conclude(ctx, short, full)
        now = await ctx.journal.get(short.id)
        assert now is not None
        assert (now.code, now.not_before) == ("room", ctx.now() + ctx.timing.disk_recheck)
        assert ctx.gate.pauses == before
        assert ctx.space.awaited(None) == long.id
        assert await ctx.journal.get(long.id) == long
        await wake_all(ctx)  # as the end of the pause does
        now = await ctx.journal.get(short.id)
        assert now is not None
        assert now.not_before == 0.0

    in_context(tmp_path, work)


def test_a_pause_for_an_upload_s_room_waits_for_that_disk(tmp_path: Path) -> None:
    """Not for the outbox's, which is well: the pause would end, and the song begin it again."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx)
        ctx.space.wait_with_upload(job, str(tmp_path), 1 << 60)
        await conclude(ctx, job, PauseService("no room.", code="room"))
        assert [pause.code for pause in ctx.gate.pauses] == ["room"]
        assert not ctx.space.is_there(None)
        assert ctx.space.passing(None) == 0

    in_context(tmp_path, work)


def test_an_earlier_outbox_without_room_holds_back_nobody_else(tmp_path: Path) -> None:
    """Its disk is full: that is why another outbox is configured now."""

    async def work(ctx: Context, _: Clock) -> None:
        job = await a_job(ctx)
        ctx.places[None] = Place(outbox=str(tmp_path / "new"))
        await conclude(ctx, job, PauseService("no room.", code="room"))
        assert ctx.gate.pauses == []
        found = await ctx.journal.get(job.id)
        assert found is not None
        assert (found.state, found.code) == (JobState.QUEUED, "room")
        assert found.not_before >= ctx.now() + ctx.timing.disk_recheck

    in_context(tmp_path, work)
