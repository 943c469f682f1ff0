"""How often the pool asks the journal: not by the turn, but where something may have changed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stemwatch.errors import PauseService
from stemwatch.job import Identity, Job, JobState
from stemwatch.journal.journal import Journal
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pacing.troubles import Trouble
from stemwatch.workers.pool.turns import Pool
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for_async

SONGS = 20
_LOOKS = 9  # at the journal, for a song from its claim to its end; 26 before turns were choosy
_EACH_SECOND = 9  # a turn asks for everything, whatever songs do: lanes, times, what is to submit


class Looks:
    """Counts what is asked of a journal's reader."""

    def __init__(self, journal: Journal) -> None:
        self.count = 0
        self._submit = journal._reader.submit
        journal._reader.submit = self._counted  # type: ignore[method-assign]

    def _counted(self, work: Callable[..., Any]) -> asyncio.Future[Any]:
        self.count += 1
        return self._submit(work)


@asynccontextmanager
async def _working(home: Home) -> AsyncIterator[tuple[Context, Pool]]:
    timing = Timing().scaled(0.02)
    async with context_of(home, timing=timing) as context:
        pool = Pool(context)
        running = asyncio.create_task(pool.run())
        yield context, pool
        await pool.stop(20.0)
        await running


def _song(home: Home, number: int) -> Job:
    path = home.inbox / f"song {number}.wav"
    path.write_bytes(os.urandom(1000))
    job = new_job(number, path=str(path), relpath=path.name, identity=Identity.of(path.stat()))
    return job.evolve(outbox=str(home.outbox), duration=2.0)


def test_a_song_costs_few_looks_at_the_journal(tmp_path: Path) -> None:
    """Twenty songs through three slots, about three polls each."""

    async def scenario() -> tuple[int, float]:
        with ScenarioServer(job_seconds=0.2, concurrency=3, strict="end") as server:
            home = Home(tmp_path, server.url, api={"poll_interval": 0.05, "max_concurrent": 3})
            async with _working(home) as (context, _):
                looks, begun = Looks(context.journal), time.monotonic()
                await asyncio.gather(
                    *(context.journal.add(_song(home, number)) for number in range(SONGS))
                )
                context.bell.wake()
                await wait_for_async(lambda: home.journal_count("done") == SONGS)
                return looks.count, time.monotonic() - begun

    looks, seconds = asyncio.run(scenario())
    assert looks <= SONGS * _LOOKS + seconds * _EACH_SECOND


def test_a_pool_that_is_woken_for_nothing_asks_once(tmp_path: Path) -> None:
    """After each rescan, for years: seven questions, all at the same moment, then silence."""

    async def scenario() -> int:
        home = Home(tmp_path, "http://127.0.0.1:9/v1")
        async with _working(home) as (context, pool):
            looks = Looks(context.journal)
            context.bell.wake()
            await wait_for_async(lambda: looks.count > 0)
            at_once = looks.count  # all of them were asked before the first was answered
            await wait_for_async(lambda: pool.standstill() == 0.0)
            assert looks.count == at_once
            return at_once

    assert asyncio.run(scenario()) == 7


@pytest.mark.parametrize("state", [JobState.SEPARATED, JobState.DELIVERED, JobState.SUBMITTING])
def test_what_another_process_brings_back_is_found_when_somebody_wakes_the_pool(
    tmp_path: Path, state: JobState
) -> None:
    """`retry` writes the journal beside us: no step of ours has left that job anywhere."""

    async def scenario() -> None:
        with ScenarioServer(job_seconds=0.05) as server:
            home = Home(tmp_path, server.url, api={"poll_interval": 0.05})
            async with _working(home) as (context, _):
                await context.journal.add(_song(home, 1))
                context.bell.wake()
                await wait_for_async(lambda: home.journal_count("done") == 1)
                other = Journal(context.journal.path)
                known = (await other.in_states([JobState.DONE]))[0]
                again = known.evolve(state=state, idempotency_key="a key", submitted_at=1.0)
                await other.add(again.evolve(content_key="other", path=f"{known.path}.again"))
                other.close()
                context.bell.wake()
                await wait_for_async(lambda: home.journal_count(str(state)) == 0)

    asyncio.run(scenario())


def test_one_that_is_due_while_the_journal_is_asked_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two downloads wait, 20 ms apart; the first one's claim takes 100 ms to answer.

    The second was not due for that claim, and no longer to come when the next time was asked for.
    """

    async def scenario() -> None:
        with ScenarioServer(job_seconds=0.05) as server:
            home = Home(tmp_path, server.url, api={"poll_interval": 0.05})
            async with _working(home) as (context, _):
                for number in (1, 2):
                    await context.journal.add(_song(home, number))
                context.bell.wake()
                await wait_for_async(lambda: home.journal_count("done") == 2)
                due = context.now() + 0.3  # a busy pool looks at everything once a second
                at_once, states = context.journal.claim, {JobState.DELIVERED, JobState.QUARANTINED}

                async def slowly(wanted: Collection[JobState], **which: Any) -> list[Job]:
                    found = await at_once(wanted, **which)
                    if states <= set(wanted) and found:
                        await asyncio.sleep(0.1)
                    return found

                monkeypatch.setattr(context.journal, "claim", slowly)
                for job in await context.journal.in_states([JobState.DONE]):
                    late = {"not_before": due + 0.02 * job.id, "filed_to": None}
                    again = job.evolve(state=JobState.DELIVERED, path=f"{job.path}.2", **late)
                    await context.journal.add(again)
                context.bell.wake()
                await wait_for_async(lambda: home.journal_count("done") == 4)

    asyncio.run(scenario())


def test_a_song_at_the_remote_that_nobody_asks_for_yet_is_not_the_end(tmp_path: Path) -> None:
    """`split` took an interrupted run up, and ended before its pool's next turn."""

    async def scenario() -> None:
        home = Home(tmp_path, "http://127.0.0.1:9/v1", budget={"minutes_per_day": 0.01})
        async with context_of(home) as context:
            pool = Pool(context)
            assert await pool.idle()
            await context.journal.add(_song(home, 1).evolve(state=JobState.SEPARATING))
            assert not await pool.idle()
            assert not await pool.stuck()

    asyncio.run(scenario())


def test_a_look_at_a_folder_is_forgotten_once_it_has_ended(tmp_path: Path) -> None:
    """Folders refuse files now and then for years: a task of each of them would stay."""

    async def scenario() -> None:
        home = Home(tmp_path, "http://127.0.0.1:9/v1")
        async with _working(home) as (context, pool):
            place, fault = context.places[None], PauseService("no.", code="disk")
            folder = str(home.outbox / "Artist")
            context.troubles.folders[folder] = Trouble(place, place.outbox, fault, context.clock())
            context.bell.wake()
            await wait_for_async(lambda: not context.troubles.folders)
            context.bell.wake()
            await wait_for_async(lambda: not pool._looks)

    asyncio.run(scenario())
