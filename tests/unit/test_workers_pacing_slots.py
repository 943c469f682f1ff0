"""Backoff, the request budget and the remote slots, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwatch.operations.words import minutes
from stemwatch.stemsplit.rate_headers import RateLimit, rate_limit, unix_seconds
from stemwatch.workers.backoff import full_jitter
from stemwatch.workers.pacing.request_budget import RequestBudget
from stemwatch.workers.pacing.slots import Slots
from tests.support.waiting import Clock


@given(
    attempt=st.integers(min_value=-1, max_value=5000),
    first=st.floats(min_value=0.001, max_value=60),
    seed=st.integers(),
)
def test_backoff_doubles_up_to_its_end_and_is_never_near_zero(
    attempt: int, first: float, seed: int
) -> None:
    """The wait is drawn from the upper half of first * 2^(n-1), at most `longest`."""
    high = min(3600.0, first * 2.0 ** min(max(attempt, 1) - 1, 40))
    wait = full_jitter(attempt, first, 3600.0, random.Random(seed))
    assert high / 2 * 0.999 <= wait <= high * 1.001


def test_a_minute_holds_no_more_than_its_requests() -> None:
    """A full window delays the next request until its oldest is a minute old."""

    async def scenario() -> None:
        clock = Clock(50.0)
        budget = RequestBudget(3, clock)
        for _ in range(3):
            assert budget.delay() == 0.0
            await budget.take()
            clock.now += 10
        assert budget.delay() == 30.0
        clock.now += 30
        assert budget.delay() == 0.0
        await budget.take()
        assert budget.delay() == 10.0

    asyncio.run(scenario())


def test_requests_older_than_a_minute_are_forgotten() -> None:
    """A generous budget holds what its last minute held, not as many as it might allow."""

    async def scenario() -> None:
        clock = Clock(50.0)
        budget = RequestBudget(100_000, clock)
        for _ in range(1000):
            await budget.take()
            clock.now += 1.0
        assert len(budget._window) <= 60
        assert budget.taken == 1000

    asyncio.run(scenario())


def test_slots_are_given_in_turn_and_back() -> None:
    """Who waits gets the first free slot; a cancelled waiter leaves the row."""

    async def scenario() -> None:
        slots = Slots(1, 60.0, Clock(50.0))
        await slots.acquire(1)
        await slots.acquire(1)  # it has it already
        order: list[int] = []

        async def wait(job: int) -> None:
            await slots.acquire(job)
            order.append(job)

        tasks = {job: asyncio.create_task(wait(job)) for job in (2, 3, 4)}
        await asyncio.sleep(0)
        assert (slots.held, slots.vacant) == (1, 0)
        tasks[3].cancel()
        await asyncio.sleep(0)
        slots.release(1)
        await tasks[2]
        assert not tasks[4].done()
        slots.release(2)
        await tasks[4]
        assert order == [2, 4]
        assert slots.held == 1

    asyncio.run(scenario())


def test_a_slot_given_to_somebody_who_just_left_goes_on() -> None:
    """Cancelled in the very moment of its turn, a waiter hands the slot to the next."""

    async def scenario() -> None:
        slots = Slots(1, 60.0, Clock(50.0))
        await slots.acquire(1)
        second = asyncio.create_task(slots.acquire(2))
        third = asyncio.create_task(slots.acquire(3))
        await asyncio.sleep(0)
        second.cancel()
        slots.release(1)
        await asyncio.wait_for(third, 5)
        assert second.cancelled()

    asyncio.run(scenario())


def test_a_429_lowers_the_limit_and_time_raises_it_again() -> None:
    """To what runs there, at least one below before, never below one; then one each `creep`."""

    async def scenario() -> None:
        clock = Clock(50.0)
        slots = Slots(4, 60.0, clock)
        for job in range(2):
            await slots.acquire(job)
        slots.refused()  # two run, the third was refused
        assert slots.limit == 2
        slots.refused()
        assert slots.limit == 1
        slots.refused()
        assert (slots.limit, slots.vacant) == (1, 0)
        assert slots.next_rise() == clock.now + 60
        clock.now += 59
        assert (slots.vacant, slots.limit) == (0, 1)
        clock.now += 121
        assert (slots.vacant, slots.limit) == (2, 4)
        assert slots.next_rise() is None

    asyncio.run(scenario())


def test_a_rise_wakes_who_waits() -> None:
    """A waiter needs no release when the limit creeps back."""

    async def scenario() -> None:
        clock = Clock(50.0)
        slots = Slots(2, 60.0, clock)
        await slots.acquire(1)
        slots.refused()
        waiter = asyncio.create_task(slots.acquire(2))
        await asyncio.sleep(0)
        assert not waiter.done()
        clock.now += 60
        assert slots.next_rise() is None
        await asyncio.wait_for(waiter, 5)

    asyncio.run(scenario())


def test_what_runs_there_after_a_restart_has_its_slot() -> None:
    """Jobs found at the remote are counted even above the limit."""
    slots = Slots(1, 60.0, Clock(50.0))
    slots.hold(1)
    slots.hold(2)
    assert (slots.held, slots.vacant) == (2, 0)
    slots.release(1)
    assert slots.vacant == 0
    slots.release(2)
    assert slots.vacant == 1


def test_a_reload_changes_the_limits_of_what_comes_next() -> None:
    """More slots are there at once, fewer let run what runs; the last minute's calls count."""
    clock = Clock(50.0)
    slots = Slots(2, 60.0, clock)
    slots.hold(1)
    slots.resize(5)
    assert (slots.most, slots.limit, slots.vacant) == (5, 5, 4)
    slots.refused()
    slots.resize(8)
    assert (slots.most, slots.limit) == (8, 1)  # what a 429 lowered stays low, and creeps up
    slots.resize(1)
    assert (slots.most, slots.limit, slots.vacant) == (1, 1, 0)

    async def paced() -> None:
        budget = RequestBudget(3, clock)
        for _ in range(3):
            await budget.take()
        assert budget.delay() == 60.0
        budget.resize(4)
        assert budget.delay() == 0.0
        budget.resize(2)
        assert budget.delay() == 60.0

    asyncio.run(paced())


# -- what the server says of its budget ---------------------------------------------------------


def test_none_left_holds_until_there_are_new_ones_but_at_most_a_minute() -> None:
    """Its budget is of a minute: whatever a clock or a server says beyond that is wrong."""
    clock = Clock(50.0)
    budget = RequestBudget(60, clock)
    budget.told(RateLimit(60, 0, 12.5))
    assert budget.delay() == 12.5
    clock.now += 12.5
    assert budget.delay() == 0.0
    budget.told(RateLimit(60, 0, 3600.0))
    assert budget.delay() == 60.0


@pytest.mark.parametrize(
    "rate", [RateLimit(60, 1, 30.0), RateLimit(60, None, 30.0), RateLimit(60, 0, None)]
)
def test_only_none_left_with_an_end_holds(rate: RateLimit) -> None:
    budget = RequestBudget(60, Clock(50.0))
    budget.told(rate)
    assert budget.delay() == 0.0


def test_a_lower_limit_narrows_the_window_and_a_higher_one_never_widens_it() -> None:
    """The user's `requests_per_minute` is the most there ever is; None says nothing."""

    async def scenario() -> None:
        clock = Clock(50.0)
        budget = RequestBudget(4, clock)
        for _ in range(2):
            await budget.take()
            clock.now += 10
        budget.told(RateLimit(2, None, None))
        assert budget.delay() == 40.0  # until the first of two is a minute old
        budget.told(RateLimit(None, 5, None))
        assert budget.delay() == 40.0
        budget.told(RateLimit(600, None, None))
        for _ in range(2):
            assert budget.delay() == 0.0
            await budget.take()
        assert budget.delay() == 40.0  # four of four
        assert budget.taken == 4

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-ratelimit-reset": "1060"}, None),
        ({"x-ratelimit-limit": "lots", "x-ratelimit-remaining": "-1"}, None),
        ({"x-ratelimit-limit": "1e3", "x-ratelimit-remaining": "٣"}, None),
        ({"x-ratelimit-limit": "9" * 13}, None),
        ({"x-ratelimit-limit": " 60 "}, RateLimit(60, None, None)),
        ({"x-ratelimit-limit": "0"}, RateLimit(None, None, None)),  # nobody could ask anything
        ({"x-ratelimit-remaining": "0"}, RateLimit(None, 0, None)),
        (
            {"x-ratelimit-remaining": "7", "x-ratelimit-reset": "1060"},
            RateLimit(None, 7, 60.0),
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "900"}, RateLimit(None, 0, 0.0)),
        (
            {"x-ratelimit-limit": "60", "x-ratelimit-reset": "9" * 12},
            RateLimit(60, None, 3600.0),
        ),
        ({"x-ratelimit-limit": "60", "x-ratelimit-reset": "soon"}, RateLimit(60, None, None)),
    ],
)
def test_the_headers_are_read_or_left(headers: dict[str, str], expected: RateLimit | None) -> None:
    """Counts and Unix seconds; the clock says 1000."""
    assert rate_limit(headers, 1000.0) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_800_000_000, 1.8e9),
        (1.5, 1.5),
        (1_800_000_000_250, 1_800_000_000.25),  # milliseconds
        ("2027-01-15T08:00:00Z", 1.8e9),
        ("2027-01-15T09:00:00+01:00", 1.8e9),
        ("2027-01-15T08:00:00.5", 1.8e9 + 0.5),  # without a zone: UTC
        ("2027-01-15", 1_799_971_200.0),
        ("1800000000", None),
        ("", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("1970-01-01T00:00:00Z", None),
        (0, None),
        (-5, None),
        (1e14, None),
        (10**400, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ([], None),
        ({}, None),
    ],
)
def test_times_are_read_in_every_usual_form(value: object, expected: float | None) -> None:
    assert unix_seconds(value) == expected


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 minutes"),
        (5.9, "0 minutes"),
        (59.99, "0.9 minutes"),
        (60.0, "1 minute"),
        (3252.0, "54.2 minutes"),
        (3257.9, "54.2 minutes"),
        (6e6, "100000 minutes"),
        (1e9, "any number of minutes"),
    ],
)
def test_credit_is_told_rounded_down(seconds: float, words: str) -> None:
    assert minutes(seconds) == words
