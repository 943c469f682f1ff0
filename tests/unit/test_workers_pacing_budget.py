"""Minutes that may still be spent: calendar days and months, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from stemwatch.job import Identity, Job, JobState, Options
from stemwatch.journal.journal import Journal, Limit, OverBudget
from stemwatch.workers.pacing.budget import (
    Budget,
    next_day,
    next_month,
    start_of_day,
    start_of_month,
)
from tests.support.journal import new_job

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


@pytest.fixture(autouse=True)
def berlin() -> Iterator[None]:
    """Local time with a summer: a day of 23 and one of 25 hours."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = BERLIN
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def at(text: str) -> float:
    """Unix seconds of a local time."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("now", "start", "end", "hours"),
    [
        ("2026-07-15T00:00", "2026-07-15T00:00", "2026-07-16T00:00", 24),
        ("2026-07-15T23:59:59", "2026-07-15T00:00", "2026-07-16T00:00", 24),
        ("2026-03-29T12:00", "2026-03-29T00:00", "2026-03-30T00:00", 23),
        ("2026-10-25T12:00", "2026-10-25T00:00", "2026-10-26T00:00", 25),
        ("2026-12-31T12:00", "2026-12-31T00:00", "2027-01-01T00:00", 24),
    ],
)
def test_a_day_is_the_calendars(now: str, start: str, end: str, hours: int) -> None:
    """From local midnight to local midnight, also where the clocks change."""
    assert start_of_day(at(now)) == at(start)
    assert next_day(at(now)) == at(end)
    assert next_day(at(now)) - start_of_day(at(now)) == hours * 3600


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-01-31T23:59", "2026-01-01T00:00", "2026-02-01T00:00"),
        ("2026-02-01T00:00", "2026-02-01T00:00", "2026-03-01T00:00"),
        ("2026-03-31T12:00", "2026-03-01T00:00", "2026-04-01T00:00"),
        ("2026-12-15T12:00", "2026-12-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_a_month_is_the_calendars(now: str, start: str, end: str) -> None:
    """From the first to the first, local time."""
    assert start_of_month(at(now)) == at(start)
    assert next_month(at(now)) == at(end)


def job(number: int) -> Job:
    return Job(
        id=0,
        state=JobState.QUEUED,
        path=f"/in/{number}.wav",
        relpath=f"{number}.wav",
        identity=Identity(1, number, 10, 10),
        sha256=f"{number}",
        content_key=f"{number}:2:wav:api",
        options=Options(),
        outbox="/out",
    )


async def spend(journal: Journal, number: int, minutes: float, limits: list[Limit]) -> None:
    added = await journal.add(job(number))
    await journal.intend(
        added, idempotency_key=f"key-{number}", minutes=minutes, price=0.5, limits=limits
    )


def test_what_is_left_is_renewed_at_midnight_and_on_the_first(tmp_path: Path) -> None:
    """The tighter limit counts, with the time at which there is more; the clock alone renews it."""
    clock = [at("2026-05-30T10:00")]
    journal = Journal(str(tmp_path / "journal"), clock=lambda: clock[0])
    budget = Budget(price=0.5, per_day=10.0, per_month=18.0)

    async def scenario() -> None:
        left = await budget.left(journal, clock[0])
        assert (left.minutes, left.key) == (10.0, "budget.minutes_per_day")
        await spend(journal, 1, 8.0, budget.limits(clock[0]))
        with pytest.raises(OverBudget):
            await spend(journal, 2, 2.5, budget.limits(clock[0]))
        await spend(journal, 3, 2.0, budget.limits(clock[0]))
        left = await budget.left(journal, clock[0])
        assert (left.minutes, left.until) == (0.0, at("2026-05-31T00:00"))

        clock[0] = at("2026-05-31T00:00")  # the month is the tighter one now
        left = await budget.left(journal, clock[0])
        assert (left.minutes, left.key) == (8.0, "budget.minutes_per_month")
        assert left.until == at("2026-06-01T00:00")
        with pytest.raises(OverBudget):
            await spend(journal, 4, 8.5, budget.limits(clock[0]))
        await spend(journal, 5, 8.0, budget.limits(clock[0]))

        clock[0] = at("2026-06-01T00:00")
        assert (await budget.left(journal, clock[0])).minutes == 10.0
        assert await journal.spent(0.0) == (18.0, 9.0)

    try:
        asyncio.run(scenario())
    finally:
        journal.close()


def test_intents_at_one_moment_are_refused_atomically(tmp_path: Path) -> None:
    """Of ten intents for one minute each, three fit into three and a half."""
    journal = Journal(str(tmp_path / "journal"), clock=lambda: 1000.0)

    async def scenario() -> list[BaseException | None]:
        limits = [Limit(0.0, 3.5)]
        tries = (spend(journal, number, 1.0, limits) for number in range(10))
        found = await asyncio.gather(*tries, return_exceptions=True)
        assert (await journal.spent(0.0))[0] == 3.0
        return found

    try:
        found = asyncio.run(scenario())
    finally:
        journal.close()
    assert sum(isinstance(one, OverBudget) for one in found) == 7


def test_no_limit_is_no_limit(tmp_path: Path) -> None:
    """Without keys in the configuration nothing is held back."""
    journal = Journal(str(tmp_path / "journal"))
    budget = Budget(price=0.1, per_day=None, per_month=None)
    try:
        left = asyncio.run(budget.left(journal, 1000.0))
    finally:
        journal.close()
    assert (left.minutes, left.until, budget.limits(1000.0)) == (None, None, [])


def test_an_inbox_stays_within_its_own_minutes_and_those_of_all(tmp_path: Path) -> None:
    """The tighter one counts, with the key that sets it; uploads under way are spoken for."""
    own = Budget(price=0.1, per_day=10.0, per_month=None, inbox="dj")
    budget = Budget(price=0.1, per_day=None, per_month=15.0, own={"dj": own})
    now = at("2026-07-15T12:00")

    async def scenario() -> None:
        journal = Journal(str(tmp_path / "journal"), clock=lambda: now)
        jobs = [
            await journal.add(new_job(n, inbox=name, duration=240.0))
            for n, name in enumerate(("dj", "karaoke", "dj"))
        ]
        for job in jobs[:2]:
            limits = budget.limits(now, job.inbox)
            await journal.intend(
                job, idempotency_key=f"k{job.id}", minutes=4.0, price=0.1, limits=limits
            )
        left = await budget.left(journal, now, "dj")
        assert (left.minutes, left.key) == (6.0, "inboxes.dj.budget.minutes_per_day")
        left = await budget.left(journal, now, "karaoke")
        assert (left.minutes, left.key) == (7.0, "budget.minutes_per_month")
        assert await budget.affordable(journal, now, "dj", [jobs[2]]) == 120.0
        assert await budget.affordable(journal, now, "karaoke", [jobs[2]]) == 180.0
        assert (budget.limited, Budget(price=0, per_day=None, per_month=None).limited) == (
            True,
            False,
        )
        journal.close()

    asyncio.run(scenario())
