"""What others did with the same song during its upload is looked at before it is paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from stemwatch.job import Job, JobState
from stemwatch.stemsplit.interface import Submitted
from stemwatch.workers.context import Context
from stemwatch.workers.pool.turns import Pool
from tests.support.telling_wire import Wire, opened

QUEUED = JobState.QUEUED


class Overtaken(Wire):
    """While the first upload is under way, a `split` has a whole job of its own for that song."""

    def __init__(self, ctx: Context, split: Job, end: Callable[[Job], Awaitable[object]]) -> None:
        super().__init__()
        self._ctx, self._split, self._end = ctx, split, end

    async def submit(self, *song: Any, **given: Any) -> Submitted:
        if self.begun == 0:
            job = await self._ctx.journal.intend(
                self._split, idempotency_key="split", minutes=1.0, price=0.1, limits=[]
            )
            await self._end(job)
        return await super().submit(*song, **given)


async def overtaken(
    root: Path, end: Callable[[Context, Job], Awaitable[object]]
) -> tuple[int, bool, Job, float]:
    """How many uploads began, was the last one charged, the song's job, and the minutes booked."""
    async with opened(root, Wire()) as context:
        (mine,) = await context.journal.in_states((QUEUED,))
        theirs: dict[str, Any] = {"origin": "split", "owner": "split-1", "path": "/music/song.wav"}
        split = await context.journal.add(mine.evolve(**theirs))
        context.api = wire = Overtaken(context, split, lambda job: end(context, job))
        pool = Pool(context)
        running = asyncio.create_task(pool.run())
        async with asyncio.timeout(60.0):
            await moved_on(context, mine.id)
        await pool.stop(5.0)
        await running
        job = await context.journal.get(mine.id)
        assert job is not None
        return wire.begun, wire.charged, job, (await context.journal.spent(0.0))[0]


async def moved_on(context: Context, job_id: int) -> None:
    """Return once it is past `submitting`, or in quarantine."""
    waits = {QUEUED, JobState.SUBMITTING}
    while True:
        job = await context.journal.get(job_id)
        if job is not None and job.state not in waits:
            return
        await asyncio.sleep(0.01)


async def delivered(context: Context, job: Job, *, to: str) -> None:
    job = await context.journal.advance(job, JobState.SEPARATING, remote_id="of split")
    job = await context.journal.advance(job, JobState.SEPARATED, completed_at=1.0)
    await context.journal.advance(job, JobState.DELIVERED, delivered_to=to)


def test_a_delivery_during_the_upload_is_looked_at_before_the_song_is_paid(tmp_path: Path) -> None:
    """And one whose folder is really gone does not keep the song from being separated."""

    async def end(context: Context, job: Job) -> None:
        await delivered(context, job, to=str(tmp_path / "gone"))

    begun, charged, job, minutes = asyncio.run(overtaken(tmp_path, end))
    # The first upload let go of its last bytes for nobody; the second had looked into the folder.
    assert (begun, charged, job.state) == (2, True, JobState.SEPARATING)
    assert minutes == 2.0


@pytest.mark.parametrize("remote_id", [None, "of split"])
def test_a_song_that_may_be_paid_since_its_upload_began_is_left_to_a_person(
    tmp_path: Path, remote_id: str | None
) -> None:
    """Unconfirmed, or paid for and not fetched: both wait in quarantine, and so does this one."""

    async def end(context: Context, job: Job) -> None:
        if remote_id is not None:
            job = await context.journal.advance(job, JobState.SEPARATING, remote_id=remote_id)
        code = "job_missing" if remote_id else "submission_unconfirmed"
        await context.journal.advance(job, JobState.QUARANTINED, code=code, filed_to=job.path)

    begun, charged, job, minutes = asyncio.run(overtaken(tmp_path, end))
    assert (begun, charged, minutes) == (1, False, 1.0)
    assert (job.state, job.code) == (JobState.QUARANTINED, "duplicate_in_quarantine")
