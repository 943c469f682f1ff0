"""Stopped at any moment of a submission, the journal tells the truth about what may be charged."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from stemwatch.codes import FETCH, SUBMIT
from stemwatch.errors import PauseService, Reject
from stemwatch.job import Job, JobState
from stemwatch.stemsplit.interface import Submitted, TooLarge, Upload
from stemwatch.workers.context import Context
from stemwatch.workers.pool.choosing.claims import Claims
from stemwatch.workers.pool.turns import Pool
from tests.support.journal import new_job
from tests.support.telling_wire import Wire, opened, turns
from tests.support.waiting import wait_for_async

# When the stop comes: so many turns of the event loop after the wire reached this point.
MOMENTS = [
    (point, turns)
    for point in ("start", "begun", "intending", "charged", "answered")
    for turns in (0, 1, 2, 3, 5, 9, 40)
]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder where an fsync costs nothing: these tests make a hundred journals."""
    quick = "/dev/shm"  # noqa: S108
    with TemporaryDirectory(dir=quick if Path(quick).is_dir() else None) as folder:
        yield Path(folder)


async def journaled(context: Context) -> tuple[Job, float]:
    job = await context.journal.get(1)
    assert job is not None
    return job, (await context.journal.spent(0.0))[0]


async def passed(wire: Wire, point: str, count: int) -> None:
    """Return `count` turns of the loop after the wire reached `point`."""
    while point != "start" and await asyncio.wait_for(wire.reached.get(), 60) != point:
        pass
    await turns(count)


def test_a_drain_at_any_moment_leaves_no_submission_in_doubt(memory: Path) -> None:
    """What was sent is waited for, what was not is not sent any more, and nothing begins later."""
    seen = set()

    async def stop_after(point: str, count: int) -> None:
        wire = Wire()
        async with opened(memory / f"{point}-{count}", wire) as context:
            pool = Pool(context)
            running = asyncio.create_task(pool.run())
            await passed(wire, point, count)
            await pool.stop(60.0)
            await running
            begun = wire.begun
            await turns(50)
            job, minutes = await journaled(context)
            assert wire.begun == begun  # nothing started after the stop
            assert wire.charged == wire.answered
            expected = (JobState.SEPARATING, 1.0) if wire.charged else (JobState.QUEUED, 0.0)
            assert (job.state, minutes) == expected
            assert (job.remote_id is not None) == wire.charged
            assert not context.committed
            seen.add(job.state)

    for moment in MOMENTS:
        asyncio.run(stop_after(*moment))
    assert seen == {JobState.QUEUED, JobState.SEPARATING}


@pytest.mark.parametrize("signals", [1, 2])
def test_an_abort_at_any_moment_is_doubted_only_where_the_last_bytes_were_sent(
    memory: Path, signals: int
) -> None:
    """The second signal, or the end of patience: `submitting` stays only if it may be charged."""

    seen = set()

    async def abort_after(point: str, count: int) -> None:
        wire = Wire()
        async with opened(memory / f"{point}-{count}", wire) as context:
            pool = Pool(context)
            running = asyncio.create_task(pool.run())
            await passed(wire, point, count)
            for _ in range(signals):
                pool.abort()
                await turns(1)
            await pool.stop(60.0)
            await running
            job, minutes = await journaled(context)
            seen.add(job.state)
            if wire.answered:
                assert (job.state, job.remote_id, minutes) == (JobState.SEPARATING, "remote-1", 1.0)
            elif wire.charged:
                assert (job.state, minutes) == (JobState.SUBMITTING, 1.0)
            else:
                assert (job.state, minutes) == (JobState.QUEUED, 0.0)

    for moment in MOMENTS:
        asyncio.run(abort_after(*moment))
    assert seen == {JobState.QUEUED, JobState.SUBMITTING, JobState.SEPARATING}


@pytest.mark.parametrize(
    ("fault", "code", "minutes"),
    [
        (ValueError("a bug"), "submission_unconfirmed", 1.0),
        (Reject("no audio.", code="unsupported"), "unsupported", 0.0),
    ],
)
def test_a_fault_after_the_last_bytes_is_told_at_once(
    memory: Path, fault: Exception, code: str, minutes: float
) -> None:
    """Even one that nobody foresaw: it may be charged, so a person has to look, and hears of it."""

    async def main() -> tuple[str | None, JobState, float]:
        async with opened(memory, Wire(fault)) as context:
            pool = Pool(context)
            running = asyncio.create_task(pool.run())
            counted: dict[str, int] = {}

            async def count() -> None:
                while not counted.get("quarantined"):
                    counted.update(await context.journal.counts())
                    await asyncio.sleep(0.01)

            await asyncio.wait_for(count(), 60)
            await pool.stop(60.0)
            await running
            job, spent = await journaled(context)
            return job.code, job.state, spent

    assert asyncio.run(main()) == (code, JobState.QUARANTINED, minutes)


@pytest.mark.parametrize(
    "fault",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        PauseService("No space left.", code="disk"),
    ],
    ids=["OSError", "PauseService"],
)
def test_a_full_disk_after_the_paid_call_does_not_pay_again(memory: Path, fault: Exception) -> None:
    """Also while its smaller form is open: it is no fault of the conversion any more."""

    class Converting(Wire):
        async def submit(self, upload: Upload, *args: Any, **kwargs: Any) -> Submitted:
            if upload.filename.endswith(".wav"):
                raise TooLarge(upload.size - 1)
            return await super().submit(upload, *args, **kwargs)

    async def main() -> tuple[int, str | None, JobState, float]:
        wire = Converting(fault)
        async with opened(memory, wire) as context:
            (job,) = await context.journal.in_states((JobState.QUEUED,))
            await context.journal.amend(job, codec="pcm_s16le")
            pool = Pool(context)
            running = asyncio.create_task(pool.run())
            await wait_for_async(lambda: wire.charged)
            state = JobState.SUBMITTING
            async with asyncio.timeout(60):
                while state is JobState.SUBMITTING:
                    await asyncio.sleep(0.01)
                    state = (await journaled(context))[0].state
            await pool.stop(60.0)
            await running
            assert not list(memory.rglob("upload-*"))
            job, spent = await journaled(context)
            return wire.begun, job.code, job.state, spent

    ended = asyncio.run(main())
    assert ended == (1, "submission_unconfirmed", JobState.QUARANTINED, 1.0)


def test_patience_ends_and_nothing_outlives_the_journal(memory: Path) -> None:
    """An answer that never comes is given up: its task has ended before the journal is closed."""

    class Silent(Wire):
        async def submit(self, *args: object, **kwargs: object) -> Submitted:
            await super().submit(*args, **kwargs)  # type: ignore[arg-type]
            return await asyncio.Event().wait()  # type: ignore[return-value]

    async def main() -> tuple[JobState, float, int]:
        wire = Silent()
        async with opened(memory, wire) as context:
            pool = Pool(context)
            running = asyncio.create_task(pool.run())
            await wait_for_async(lambda: wire.charged)
            await pool.stop(0.2)
            await running
            job, minutes = await journaled(context)
            left = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            return job.state, minutes, len(left)

    assert asyncio.run(main()) == (JobState.SUBMITTING, 1.0, 0)


def test_a_wrong_clock_does_not_hold_what_is_paid_for(memory: Path) -> None:
    """Times in the journal that lie years ahead hold a restart up for an hour at most."""

    async def scenario() -> None:
        async with opened(memory, Wire()) as context:
            (job,) = await context.journal.in_states((JobState.QUEUED,))
            asked = {"code": "rate_limited", "not_before": time.time() + 1e9}
            job = await context.journal.intend(
                job, idempotency_key="k", minutes=1.0, price=0.1, limits=[]
            )
            await context.journal.advance(job, JobState.SEPARATING, remote_id="r", **asked)
            pool = Pool(context)
            await pool.recover()
            assert 0 < context.gate.seconds_left("rate_limited") <= 3600.0
            running = asyncio.create_task(pool.run())
            await wait_for_async(lambda: len(context.polls) == 1)
            due = context.polls.next_due()
            assert due is not None
            assert due - context.clock() <= 3600.0
            await pool.stop(5.0)
            await running

    asyncio.run(scenario())


@pytest.mark.parametrize(("ahead", "waits"), [(5000.0, True), (1e9, False)])
def test_a_clock_that_was_ahead_keeps_no_song_waiting_for_years(
    memory: Path, ahead: float, waits: bool
) -> None:
    """A time further away than any wait there is was written by a wrong clock: it counts as due."""

    async def scenario() -> list[int]:
        async with opened(memory, Wire()) as context:
            (first,) = await context.journal.in_states((JobState.QUEUED,))
            await context.journal.amend(first, code="network", not_before=time.time() + ahead)
            second = new_job(2, state=JobState.SEPARATED, not_before=time.time() + ahead)
            await context.journal.add(second)
            claims = Claims(context)
            found = [await claims.next(lane, 5, busy=[], working=[]) for lane in (SUBMIT, FETCH)]
            return [len(jobs) for jobs in found]

    assert asyncio.run(scenario()) == ([0, 0] if waits else [1, 1])
