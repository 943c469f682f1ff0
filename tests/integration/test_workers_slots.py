"""Slots at the server: each is given back, whatever the journal's disk takes to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from stemwatch.codes import FETCH
from stemwatch.job import Job, JobState
from stemwatch.journal.claiming import ORDER
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pool.turns import Pool
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import queued_song
from tests.support.scenario.server import ScenarioServer
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
