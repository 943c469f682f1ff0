"""What a call is answered, and that a good one wakes the poll of its job: nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from stemwatch.job import JobState
from stemwatch.stemsplit.signatures import BODY
from stemwatch.workers.context import Context
from stemwatch.workers.pool.webhook_calls import Callbacks
from tests.support.clocked import NOW, a_job, in_context
from tests.support.ringing import Hears
from tests.support.waiting import Clock

SECRET = "whsec_0123456789"  # noqa: S105 - the tests' own
ENDED = {"job_id": "job_1", "status": "completed"}


def call(callbacks: Callbacks, data: object, *, at: float, secret: str = SECRET) -> int:
    """Post `data`, signed at this Unix time."""
    raw = json.dumps(data).encode()
    digest = hmac.new(secret.encode(), b"%d." % at + raw, hashlib.sha256).hexdigest()
    return callbacks.receive({"x-stemsplit-signature": f"t={at:.0f},v1={digest}"}, raw)


def in_service(folder: Path, work: Callable[[Context, Clock, Callbacks], Awaitable[None]]) -> None:
    """With one job at the remote, `job_1`, whose first poll is planned."""

    async def run(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx, JobState.SUBMITTING)
        job = await ctx.journal.advance(job, JobState.SEPARATING, remote_id="job_1")
        ctx.polls.started(job.id, clock.now, "job_1")
        await work(ctx, clock, Callbacks(ctx, lambda: [SECRET], None))

    in_context(folder, run)


def test_a_good_call_wakes_the_poll_of_its_job(tmp_path: Path) -> None:
    """200; the job is still `separating` in the journal, for only the API's answer is believed."""

    async def work(ctx: Context, clock: Clock, callbacks: Callbacks) -> None:
        woken: list[float] = []
        ctx.bell.answered_by(Hears(lambda: woken.append(clock.now)))
        assert ctx.polls.take_due(clock.now) is None
        assert call(callbacks, ENDED, at=NOW + clock.now) == 200
        assert woken == [clock.now]
        job_id = ctx.polls.take_due(clock.now)
        assert job_id is not None
        job = await ctx.journal.get(job_id)
        assert job is not None
        assert job.state is JobState.SEPARATING
        assert callbacks.counts == {"taken": 1}

    in_service(tmp_path, work)


@pytest.mark.parametrize(
    ("data", "how"),
    [
        ({"job_id": "another", "status": "completed"}, "unknown"),
        ({"job_id": "job_1", "status": "processing"}, "early"),
    ],
)
def test_a_call_that_changes_nothing_is_thanked(
    tmp_path: Path, data: dict[str, str], how: str
) -> None:
    """200, or it would be sent again and again; nothing is woken."""

    async def work(ctx: Context, clock: Clock, callbacks: Callbacks) -> None:
        ctx.bell.answered_by(Hears(lambda: pytest.fail("woken for nothing")))
        assert call(callbacks, data, at=NOW + clock.now) == 200
        assert ctx.polls.take_due(clock.now) is None
        assert callbacks.counts == {how: 1}

    in_service(tmp_path, work)


def test_a_duplicate_is_thanked_too(tmp_path: Path) -> None:
    """Delivered twice before the poll: one poll. After the job's end: nobody's."""

    async def work(ctx: Context, clock: Clock, callbacks: Callbacks) -> None:
        for _ in range(2):
            assert call(callbacks, ENDED, at=NOW + clock.now) == 200
        job_id = ctx.polls.take_due(clock.now)
        assert job_id is not None
        assert ctx.polls.take_due(clock.now) is None
        ctx.polls.done(job_id, clock.now)
        assert call(callbacks, ENDED, at=NOW + clock.now) == 200
        assert callbacks.counts == {"taken": 2, "unknown": 1}

    in_service(tmp_path, work)


def test_what_is_not_ours_changes_nothing(tmp_path: Path) -> None:
    """401 for a forged one, 400 for an old one or what is no callback; whatever it says."""

    async def work(ctx: Context, clock: Clock, callbacks: Callbacks) -> None:
        ctx.bell.answered_by(Hears(lambda: pytest.fail("woken by a stranger")))
        now = NOW + clock.now
        assert call(callbacks, ENDED, at=now, secret=SECRET[::-1]) == 401
        assert callbacks.receive({}, json.dumps(ENDED).encode()) == 401
        assert call(callbacks, ENDED, at=now - 301) == 400
        assert call(callbacks, ENDED, at=now + 301) == 400
        assert call(callbacks, [], at=now) == 400
        assert call(callbacks, {"status": "completed"}, at=now) == 400
        assert (
            Callbacks(ctx, lambda: [SECRET], BODY).receive(
                {"x-stemsplit-signature": "t=1,v1=2"}, b"{}"
            )
            == 401
        )
        assert ctx.polls.take_due(clock.now) is None
        assert callbacks.counts == {"forged": 2, "stale": 4}

    in_service(tmp_path, work)


def test_the_secrets_are_those_of_now(tmp_path: Path) -> None:
    """One that came after the start counts, one that was dropped doesn't."""

    async def work(ctx: Context, clock: Clock, _: Callbacks) -> None:
        secrets: list[str] = []
        callbacks = Callbacks(ctx, lambda: secrets, None)
        now = NOW + clock.now
        assert call(callbacks, ENDED, at=now) == 401
        secrets.append(SECRET)
        assert call(callbacks, ENDED, at=now) == 200
        secrets[:] = ["another"]
        assert call(callbacks, ENDED, at=now) == 401

    in_service(tmp_path, work)
