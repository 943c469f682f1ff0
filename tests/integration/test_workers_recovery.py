"""What others decided, before a start or beside it: who is due, whose room is kept, who is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stemwatch.errors import PauseService
from stemwatch.job import WANTED_BACK, JobState, Unfiled
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pool.outcome import conclude
from stemwatch.workers.pool.turns import Pool
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job, queued_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for_async

WORD_OF_A_SERVER = ["rate_limited", "storage_busy", "busy", "unreachable", "job_missing"]
MENDED = ["internal", "audio_helper", "disk", "room", "blocked", "unreadable"]


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.SEPARATED])
def test_what_a_person_may_have_mended_is_tried_at_once(tmp_path: Path, state: JobState) -> None:
    """An upgrade and a restart: its songs must not wait for five minutes more."""

    async def scenario() -> None:
        async with context_of(Home(tmp_path, "http://127.0.0.1:9/v1")) as context:
            later = context.now() + 300.0
            codes = [*MENDED, *WORD_OF_A_SERVER]
            for number, code in enumerate(codes, 1):
                job = new_job(number, state=state, code=code, not_before=later, remote_id="job_1")
                await context.journal.add(job)
            await Pool(context).recover()
            found = await context.journal.in_states([state])
            assert [job.code for job in found if job.not_before == 0.0] == MENDED

    asyncio.run(scenario())


def test_every_submission_without_an_answer_is_told_of(tmp_path: Path) -> None:
    """Also where a look at the journal gives fewer at a time; none may be submitted again."""

    async def scenario() -> None:
        async with context_of(Home(tmp_path, "http://127.0.0.1:9/v1")) as context:
            some = [new_job(number, state=JobState.SUBMITTING) for number in range(101)]
            await asyncio.gather(*(context.journal.add(job) for job in some))
            await Pool(context).recover()
            assert (await context.journal.counts())["quarantined"] == 101

    asyncio.run(scenario())


def test_the_room_of_what_is_to_be_fetched_is_kept_from_the_start_on(tmp_path: Path) -> None:
    """Else songs are paid for whose stems find the disk full of those that were paid before."""

    async def scenario() -> None:
        async with context_of(Home(tmp_path, "http://127.0.0.1:9/v1")) as context:
            for number, owner in enumerate([None, "split"], 1):
                job = new_job(number, state=JobState.SEPARATED, remote_id="job_1", owner=owner)
                await context.journal.add(job)
            await Pool(context).recover()
            mine = await context.journal.claim([JobState.SEPARATED], now=0.0, owner=None, limit=9)
            assert list(context.space) == [job.id for job in mine]

    asyncio.run(scenario())


def test_an_adopted_job_has_its_room_again(tmp_path: Path) -> None:
    """Its unanswered submission gave it back, as if there were nothing to come."""

    async def scenario() -> None:
        with ScenarioServer(wire="presigned", job_seconds=30.0) as server:
            server.scenario(post=[{"reset": "end", "accept": True}])
            home = Home(tmp_path, server.url)
            async with context_of(home, timing=Timing().scaled(0.01)) as context:
                await context.journal.add(queued_song(home, 1).evolve(duration=10.0))
                pool = Pool(context)
                running = asyncio.create_task(pool.run())
                await wait_for_async(lambda: home.journal_count("separating") == 1)
                await wait_for_async(lambda: len(context.polls) == 1)
                assert len(context.space) == 1
                await pool.stop(20.0)
                await running

    asyncio.run(scenario())


def test_a_song_that_the_inbox_closed_is_forgotten(tmp_path: Path) -> None:
    """Taken back or replaced while it waited: for years, each of these would be kept in memory."""

    async def scenario() -> None:
        home = Home(tmp_path, "http://127.0.0.1:9/v1")
        async with context_of(home, timing=Timing().scaled(0.01)) as context:
            pool = Pool(context)
            for number in (1, 2):
                job = await context.journal.add(queued_song(home, number))
                context.memory.unforeseen.is_its_own(job.id, job.state)
                for _ in range(2):  # the second one is its own: it waits alone
                    context.gate.reopen("disk")
                    await conclude(context, job, PauseService("no.", code="disk"))
                waiting = await context.journal.get(job.id)
                assert waiting is not None
                await context.journal.advance(waiting, JobState.GONE)
            troubles, unforeseen = context.troubles, context.memory.unforeseen
            assert len(troubles.waiting()) == len(troubles.met) == len(unforeseen._met) == 2
            running = asyncio.create_task(pool.run())
            await wait_for_async(
                lambda: not (troubles.waiting() or troubles.met or unforeseen._met)
            )
            await pool.stop(20.0)
            await running

    asyncio.run(scenario())


def test_what_a_song_met_before_a_step_passed_is_over(tmp_path: Path) -> None:
    """Else the next outage, months later, would be its second in a row, and it would wait alone."""

    async def scenario() -> None:
        with ScenarioServer(job_seconds=300.0) as server:
            home = Home(tmp_path, server.url)
            async with context_of(home, timing=Timing().scaled(0.01)) as context:
                job = await context.journal.add(queued_song(home, 1))
                await conclude(context, job, PauseService("no.", code="disk"))
                assert list(context.troubles.met) == [job.id]
                pool = Pool(context)
                running = asyncio.create_task(pool.run())
                await wait_for_async(lambda: home.journal_count("separating") == 1)
                await wait_for_async(lambda: not context.troubles.met)
                await pool.stop(20.0)
                await running

    asyncio.run(scenario())


def test_a_song_that_begins_to_wait_after_the_start_pays_for_nothing_either(tmp_path: Path) -> None:
    """Its inbox is taken out. It was about to be submitted at a kill, and was not taken; or it is
    in the quarantine's way, and `retry` asked for it."""

    async def scenario() -> None:
        with ScenarioServer(wire="presigned", job_seconds=0.1) as server:
            home = Home(tmp_path, server.url)
            async with context_of(home, timing=Timing().scaled(0.01)) as context:
                dj = queued_song(home, 1).evolve(inbox="dj", duration=10.0)
                job = await context.journal.add(dj)
                await context.journal.intend(
                    job, idempotency_key="k" * 32, minutes=1.0, price=1.0, limits=[]
                )
                wish = Unfiled(WANTED_BACK, "asked for.", "", 0)
                more = queued_song(home, 2).evolve(inbox="dj", duration=10.0, unfiled=wish)
                await context.journal.add(more.evolve(state=JobState.QUARANTINED))
                pool = Pool(context)
                await pool.recover()
                running = asyncio.create_task(pool.run())
                await wait_for_async(lambda: home.journal_count("gone") == 2)
                await pool.stop(20.0)
                await running
            assert server.requests("ticket") == server.requests("post") == []
            assert len(home.waiting()) == 2

    asyncio.run(scenario())
