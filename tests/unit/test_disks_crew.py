"""Threads that make short calls: in order, each answered, none lost, faults handed on."""

from __future__ import annotations

import asyncio
import threading

import pytest

from stemwatch.disks.crew import Crew


def test_every_call_is_answered_on_the_loop() -> None:
    async def scene() -> None:
        crew = Crew(3)
        assert await asyncio.gather(*(crew.call(pow, n, 2) for n in range(500))) == [
            n * n for n in range(500)
        ]

    asyncio.run(scene())


def test_a_fault_is_its_callers_alone() -> None:
    async def scene() -> None:
        crew = Crew(2)
        good, bad = crew.call(int, "1"), crew.call(int, "x")
        with pytest.raises(ValueError, match="'x'"):
            await bad
        assert await good == 1

    asyncio.run(scene())


def test_a_call_that_hangs_holds_up_no_other() -> None:
    async def scene() -> None:
        crew, go = Crew(2), threading.Event()
        hangs = crew.call(go.wait)
        assert await asyncio.gather(*(crew.call(abs, -n) for n in range(20))) == list(range(20))
        assert not hangs.done()
        go.set()
        assert await hangs

    asyncio.run(scene())


def test_a_call_given_up_before_its_turn_is_not_made() -> None:
    async def scene() -> None:
        crew, go, made = Crew(1), threading.Event(), []
        first = crew.call(go.wait)
        crew.call(made.append, "given up").cancel()
        last = crew.call(made.append, "wanted")
        go.set()
        await asyncio.gather(first, last)
        assert made == ["wanted"]

    asyncio.run(scene())
