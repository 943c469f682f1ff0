"""Slots at the server: each is given back, whatever the journal's disk takes to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from stemwatch.codes import FETCH, Code
from stemwatch.errors import RetryLater
from stemwatch.job import Job, JobState
from stemwatch.journal.claiming import ORDER
from stemwatch.journal.journal import StaleJob
from stemwatch.stemsplit.interface import Submitted
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pool.turns import Pool
from stemwatch.workers.steps.submit import submit
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import queued_song
from tests.support.scenario.server import ScenarioServer
from tests.support.telling_wire import Wire, opened
from tests.support.waiting import wait_for_async

SONGS = 12


@pytest.mark.parametrize("late", [0.0, 0.05, 0.3])
def test_no_slot_is_held_for_a_job_that_ended_while_the_journal_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    """What the pool reads of remote jobs may be old when it comes: a disk sleeps, a loop is busy.

    `late`: seconds between such a look and its answer; a job lasts 0.1 of them.
    """

    async def scenario() -> None:
        with ScenarioServer(job_seconds=0.1, concurrency=3, strict="end") as server:
            api = {"poll_interval": 0.05, "max_concurrent": 3}
            home = Home(tmp_path, server.url, api=api)
            async with context_of(home, timing=Timing().scaled(0.02)) as context:
                for number in range(SONGS):
                    await context.journal.add(queued_song(home, number))
                at_once = context.journal.claim

                async def later(states: Collection[JobState], **which: Any) -> list[Job]:
                    found = await at_once(states, **which)
                    if JobState.SEPARATING in states:
                        await asyncio.sleep(late)
                    return found

                monkeypatch.setattr(context.journal, "claim", later)
                pool = Pool(context)
                running = asyncio.create_task(pool.run())
                await wait_for_async(lambda: home.journal_count("done") == SONGS)
                await wait_for_async(lambda: len(context.polls) == 0 and not pool.busy)
                assert context.slots.held == 0
                assert len(context.space) == 0
                await pool.stop(20.0)
                await running

    asyncio.run(scenario())


def test_a_song_that_goes_on_while_the_journal_is_asked_is_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--once` ended with a job at the remote: queued when the journal was asked for what is
    there, and at the remote when it was asked for what is queued."""

    async def scenario() -> None:
        with ScenarioServer(job_seconds=1.0) as server:
            home = Home(tmp_path, server.url, api={"poll_interval": 0.05})
            async with context_of(home) as context:
                await context.journal.add(queued_song(home, 1))
                at_once = context.journal.claim

                async def slowly(states: Collection[JobState], **which: Any) -> list[Job]:
                    if len(states) <= 2:  # the pool's own looks
                        return await at_once(states, **which)
                    monkeypatch.setattr(context.journal, "claim", at_once)  # the first time only
                    found = await at_once(ORDER[:3], **which)
                    await wait_for_async(lambda: home.journal_count("separating") == 1)
                    return found or await at_once(set(states) - set(ORDER[:3]), **which)

                monkeypatch.setattr(context.journal, "claim", slowly)
                pool = Pool(context)
                asked = asyncio.create_task(pool.idle())
                await asyncio.sleep(0)  # it has found every lane empty
                running = asyncio.create_task(pool.run())
                while not await asked:
                    asked = asyncio.create_task(pool.idle())
                assert home.journal_count("done") == 1
                await pool.stop(20.0)
                await running

    asyncio.run(scenario())


@pytest.mark.parametrize(("uploads", "seats"), [(0, 6), (1, 3)])
def test_the_last_songs_are_downloaded_six_at_a_time(
    tmp_path: Path, uploads: int, seats: int
) -> None:
    """Three beside an upload: more would hold up its job, and then the slot behind it."""

    async def scenario() -> None:
        with ScenarioServer(job_seconds=0.05) as server:
            server.scenario(post=[{"hang": "head"}] * uploads, download=[{"hang": "head"}] * 30)
            home = Home(tmp_path, server.url, api={"poll_interval": 0.05, "max_concurrent": 20})
            async with context_of(home) as context:
                for number in range(SONGS):
                    await context.journal.add(queued_song(home, number))
                pool = Pool(context)
                running = asyncio.create_task(pool.run())
                lane = pool._lanes[FETCH]
                await wait_for_async(lambda: home.journal_count("separated") == SONGS - uploads)
                await wait_for_async(lambda: len(lane.tasks) == seats == lane.seats)
                assert len(server.requests("post")) == SONGS
                await pool.stop(0.1)
                await running

    asyncio.run(scenario())


class MovedOn(Wire):
    """It refuses a submission, whose job another process has moved on meanwhile."""

    def __init__(self, move: Callable[[], Awaitable[object]]) -> None:
        super().__init__(RetryLater("no.", code=Code.BUSY))
        self._move = move

    async def submit(
        self, *song: Any, before_last_bytes: Callable[[], Awaitable[None]], **given: Any
    ) -> Submitted:
        async def committed() -> None:
            await before_last_bytes()
            await self._move()

        return await super().submit(*song, before_last_bytes=committed, **given)


def test_a_refused_song_that_moved_on_gives_its_slot_back(tmp_path: Path) -> None:
    """The journal can't be corrected then, and nobody else gives that slot back."""

    async def scenario() -> None:
        async with opened(tmp_path, Wire()) as ctx:
            (queued,) = await ctx.journal.in_states([JobState.QUEUED])

            async def move() -> Job:
                (job,) = await ctx.journal.in_states([JobState.SUBMITTING])
                assert ctx.slots.held == 1
                return await ctx.journal.advance(job, JobState.QUARANTINED, code="refused")

            ctx.api = MovedOn(move)
            with pytest.raises(StaleJob):
                await submit(ctx, queued, [])
            assert ctx.slots.held == 0

    asyncio.run(scenario())
