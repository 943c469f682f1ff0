"""A song of ours that waits for a `split` which was interrupted goes on from what that has paid."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stemwatch.disks import lock
from stemwatch.disks.lock import InstanceLock
from stemwatch.heard import Heard
from stemwatch.job import Job, JobState
from stemwatch.journal.journal import StaleJob
from stemwatch.service import orphans
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job
from tests.support.ringing import Hears
from tests.support.waiting import wait_for_async

QUEUED, SUBMITTING, GONE = JobState.QUEUED, JobState.SUBMITTING, JobState.GONE
SEPARATING, SEPARATED = JobState.SEPARATING, JobState.SEPARATED
OWNER = "split-1-dead"
TOLD: dict[str, Any] = {
    "completed_at": 5.0,
    "bpm": 120.0,
    "key": "A minor",
    "engine": "e",
    "heard": Heard(1.5),
}
LOOKS = 0.05  # seconds between two


@asynccontextmanager
async def left_by_a_split(root: Path, state: JobState) -> AsyncIterator[tuple[Context, Job]]:
    """A `split`'s job in `state` (id 1), two queued songs of that content, and one of another."""
    quick = replace(Timing(), restart=LOOKS, status_idle=LOOKS)
    async with context_of(Home(root, "http://127.0.0.1:9/v1"), timing=quick) as ctx:
        theirs = {"origin": "split", "owner": OWNER, "path": "/music/song.wav"}
        dead = await ctx.journal.add(new_job(1, **theirs))
        for number, content in enumerate((1, 1, 2), 2):
            await ctx.journal.add(new_job(number, content_key=f"content-{content}"))
        dead = await ctx.journal.intend(
            dead, idempotency_key="theirs", minutes=1.0, price=0.1, limits=[]
        )
        for to, told in ((SEPARATING, {"remote_id": "paid"}), (SEPARATED, TOLD)):
            if dead.state is not state:
                dead = await ctx.journal.advance(dead, to, **told)
        yield ctx, dead


async def looked(ctx: Context, state_dir: str) -> None:
    """The service's task, for a dozen looks."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(LOOKS * 12):
            await orphans.keep(ctx, state_dir)


async def taken_over(ctx: Context, state_dir: str) -> int:
    """The service's task, until it has woken the pool and looked some more; how often it did so."""
    woken: list[None] = []
    ctx.bell.answered_by(Hears(lambda: woken.append(None)))
    looking = asyncio.create_task(orphans.keep(ctx, state_dir))
    try:
        await wait_for_async(lambda: woken or looking.done())
        await asyncio.sleep(LOOKS * 4)  # nothing more comes of these looks
    finally:
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
    return len(woken)


async def states(ctx: Context) -> list[JobState]:
    return [job.state for job in await ctx.journal.in_states(tuple(JobState))]


@pytest.mark.parametrize("state", [SEPARATING, SEPARATED])
def test_the_oldest_song_that_waits_goes_on_with_what_is_paid(
    tmp_path: Path, state: JobState
) -> None:
    """It is booked once, and the `split` that is run again finds nothing it could pay for."""

    async def main() -> None:
        async with left_by_a_split(tmp_path, state) as (ctx, dead):
            assert await taken_over(ctx, str(tmp_path / "state")) == 1
            assert await states(ctx) == [GONE, state, QUEUED, QUEUED]
            heir = await ctx.journal.get(2)
            assert heir is not None
            for name in ("remote_id", "idempotency_key", "submitted_at", *TOLD):
                assert getattr(heir, name) == getattr(dead, name)
            assert (heir.owner, heir.path, heir.outbox) == (None, "/inbox/song-2.wav", "/outbox")
            assert await ctx.journal.spent(0.0) == (1.0, 0.1)
            notes = await ctx.journal._all("SELECT note FROM history WHERE job_id = 1", ())
            assert notes[-1]["note"] == "taken over by job 2"

    asyncio.run(main())


def test_a_split_that_lives_keeps_its_song(tmp_path: Path) -> None:
    """Its lock is held: there is nothing to take over, however long it takes."""

    async def main() -> None:
        async with left_by_a_split(tmp_path, SEPARATING) as (ctx, _):
            state_dir = str(tmp_path / "state")
            os.makedirs(lock.owners(state_dir), exist_ok=True)
            held = InstanceLock(lock.of_owner(state_dir, OWNER))
            try:
                await looked(ctx, state_dir)
            finally:
                held.release()
            assert await states(ctx) == [SEPARATING, QUEUED, QUEUED, QUEUED]

    asyncio.run(main())


def test_what_another_split_has_taken_up_is_not_taken_over(tmp_path: Path) -> None:
    """Run again at that very moment, it has another owner: nothing of either job is changed."""

    async def main() -> None:
        async with left_by_a_split(tmp_path, SEPARATING) as (ctx, dead):
            await ctx.journal.amend(dead, owner="split-2-living")
            with pytest.raises(StaleJob):
                await ctx.journal.inherit(dead, theirs=False)
            assert await states(ctx) == [SEPARATING, QUEUED, QUEUED, QUEUED]

    asyncio.run(main())


def test_what_no_song_of_ours_waits_for_is_left_alone(tmp_path: Path) -> None:
    """The command that was interrupted fetches it, whenever it is run again."""

    async def main() -> None:
        async with left_by_a_split(tmp_path, SEPARATING) as (ctx, _):
            for job in await ctx.journal.with_content("content-1", (QUEUED,)):
                await ctx.journal.advance(job, GONE)
            await orphans.take_over(ctx, {OWNER})
            assert await states(ctx) == [SEPARATING, GONE, GONE, QUEUED]

    asyncio.run(main())


def test_a_submission_without_an_answer_is_left_to_a_person(tmp_path: Path) -> None:
    """It may have been charged; the song that waits is told so when it is claimed."""

    async def main() -> None:
        async with left_by_a_split(tmp_path, SUBMITTING) as (ctx, _):
            assert await taken_over(ctx, str(tmp_path / "state")) == 1
            assert await states(ctx) == [JobState.QUARANTINED, QUEUED, QUEUED, QUEUED]
            dead = await ctx.journal.get(1)
            assert dead is not None
            assert (dead.code, dead.filed_to) == ("submission_unconfirmed", dead.path)
            assert await ctx.journal.spent(0.0) == (1.0, 0.1)

    asyncio.run(main())


def test_what_a_server_of_its_own_made_is_made_anew(tmp_path: Path) -> None:
    """On this machine each process has its own server, and nothing is paid."""

    async def main() -> None:
        async with left_by_a_split(tmp_path, SEPARATING) as (ctx, _):
            ctx.local = True
            assert await taken_over(ctx, str(tmp_path / "state")) == 1
            assert await states(ctx) == [GONE, QUEUED, QUEUED, QUEUED]
            heir = await ctx.journal.get(2)
            assert heir is not None
            assert heir.remote_id is None

    asyncio.run(main())
