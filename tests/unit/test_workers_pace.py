"""Backoff, the request budget and the remote slots, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from stemwatch.workers.pace import RequestBudget, Slots, full_jitter


@dataclass
class Clock:
    now: float = 50.0

    def __call__(self) -> float:
        return self.now


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
        clock = Clock()
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


def test_slots_are_given_in_turn_and_back() -> None:
    """Who waits gets the first free slot; a cancelled waiter leaves the row."""

    async def scenario() -> None:
        slots = Slots(1, 60.0, Clock())
        await slots.acquire(1)
        await slots.acquire(1)  # it has it already
        order: list[int] = []

        async def wait(job: int) -> None:
            await slots.acquire(job)
            order.append(job)

        tasks = {job: asyncio.create_task(wait(job)) for job in (2, 3, 4)}
        await asyncio.sleep(0)
        assert (slots.held, slots.free) == (1, 0)
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
        slots = Slots(1, 60.0, Clock())
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
        clock = Clock()
        slots = Slots(4, 60.0, clock)
        for job in range(2):
            await slots.acquire(job)
        slots.refused()  # two run, the third was refused
        assert slots.limit == 2
        slots.refused()
        assert slots.limit == 1
        slots.refused()
        assert (slots.limit, slots.free) == (1, 0)
        assert slots.next_rise() == clock.now + 60
        clock.now += 59
        assert (slots.free, slots.limit) == (0, 1)
        clock.now += 121
        assert (slots.free, slots.limit) == (2, 4)
        assert slots.next_rise() is None

    asyncio.run(scenario())


def test_a_rise_wakes_who_waits() -> None:
    """A waiter needs no release when the limit creeps back."""

    async def scenario() -> None:
        clock = Clock()
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
    slots = Slots(1, 60.0, Clock())
    slots.hold(1)
    slots.hold(2)
    assert (slots.held, slots.free) == (2, 0)
    slots.release(1)
    assert slots.free == 0
    slots.release(2)
    assert slots.free == 1


def test_a_reload_changes_the_limits_of_what_comes_next() -> None:
    """More slots are there at once, fewer let run what runs; the last minute's calls count."""
    clock = Clock()
    slots = Slots(2, 60.0, clock)
    slots.hold(1)
    slots.resize(5)
    assert (slots.most, slots.limit, slots.free) == (5, 5, 4)
    slots.refused()
    slots.resize(8)
    assert (slots.most, slots.limit) == (8, 1)  # what a 429 lowered stays low, and creeps up
    slots.resize(1)
    assert (slots.most, slots.limit, slots.free) == (1, 1, 0)

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
