"""The throttle of the benchmarks keeps its rate, whatever the event loop oversleeps."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.scenario.link import CATCH_UP, PIECE, Link
from tests.support.waiting import Clock

RATE = 18_750_000.0  # bytes a second: 150 Mbit/s, where a piece takes 1.7 ms
PIECES = 1000


def throttled(clock: Clock, late: float) -> Link:
    """A line in a loop whose timers all fire `late` seconds late."""

    async def sleep(seconds: float) -> None:
        clock.now += seconds + late

    link = Link(clock=clock, sleep=sleep)
    link.rate = RATE
    return link


async def carry(link: Link, pieces: int) -> None:
    for _ in range(pieces):
        await link.carry(PIECE)


@pytest.mark.parametrize("late", [0.0, 0.0004, 0.0012, 0.006])
def test_a_line_keeps_its_rate(late: float) -> None:
    clock = Clock()
    asyncio.run(carry(throttled(clock, late), PIECES))
    took = clock.now - 1000.0
    assert took == pytest.approx(PIECES * PIECE / RATE, abs=CATCH_UP + 0.001)


def test_an_idle_line_saves_nothing_up() -> None:
    """After a minute of silence it is ahead by as much as after a late timer, and no more."""
    clock = Clock()
    link = throttled(clock, 0.0)
    asyncio.run(carry(link, 1))
    clock.now += 60
    began = clock.now
    asyncio.run(carry(link, PIECES))
    assert clock.now - began == pytest.approx(PIECES * PIECE / RATE - CATCH_UP, abs=0.002)
