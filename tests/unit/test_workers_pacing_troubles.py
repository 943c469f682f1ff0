"""When a folder that takes nothing is looked at, and how long a song is remembered."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from stemwatch.disks.places import Place
from stemwatch.errors import PauseService
from stemwatch.job import JobState
from stemwatch.journal import schema
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.rehearsal import Rehearsal
from stemwatch.workers.pacing.troubles import Trouble
from stemwatch.workers.steps.own_trouble import look
from tests.support.clocked import a_job, in_context
from tests.support.ringing import Hears
from tests.support.stepwise import stepwise
from tests.support.waiting import Clock, wait_for_async


def test_a_look_that_takes_longer_than_the_gap_is_due_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that answers after a minute: due in the past, it would turn the pool every 20 ms."""
    looking, ill = threading.Event(), threading.Event()

    def slowly(_: int) -> None:
        looking.set()
        ill.wait(10)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx, JobState.SEPARATED)
        woken: list[float] = []
        ctx.bell.answered_by(Hears(lambda: woken.append(clock.now)))
        folder = str(tmp_path / "bad")
        fault = PauseService("no.", code="disk")
        trouble = Trouble(ctx.places[None], str(tmp_path), fault, clock.now, {job.id})
        ctx.troubles.folders[folder] = trouble
        monkeypatch.setattr(os, "fsync", slowly)
        assert ctx.troubles.due(clock.now) == [folder]
        under_way = asyncio.create_task(look(ctx, folder))
        await wait_for_async(looking.is_set)
        clock.now += 60.0
        assert ctx.troubles.due(clock.now) == []
        assert ctx.troubles.next_due() is None
        ill.set()
        await under_way
        assert ctx.troubles.next_due() == clock.now + ctx.timing.disk_recheck
        assert woken == [clock.now], "the pool sleeps until somebody tells it of the next look"

    in_context(tmp_path, work)


def test_who_met_a_folder_while_others_were_to_be_woken_waits_beside_them(tmp_path: Path) -> None:
    """The journal failed just then: the one that came last would have waited by itself for long."""

    async def work(ctx: Context, clock: Clock) -> None:
        job = await a_job(ctx, JobState.SEPARATED)
        await ctx.journal.amend(job, not_before=ctx.now() + 300.0, code="disk")
        folder = str(tmp_path / "bad")

        def trouble(job_id: int) -> Trouble:
            fault = PauseService("no.", code="disk")
            return Trouble(ctx.places[None], str(tmp_path), fault, clock.now, {job_id})

        with closing(schema.connect(ctx.journal.path)) as other:
            other.execute(
                "CREATE TRIGGER fails BEFORE UPDATE ON jobs BEGIN SELECT raise(ABORT, 'no'); END"
            )
        ctx.troubles.folders[folder] = trouble(job.id)
        async for _ in stepwise(look(ctx, folder)):
            ctx.troubles.folders.setdefault(folder, trouble(99))
        assert ctx.troubles.folders[folder].jobs == {job.id, 99}

    in_context(tmp_path, work)


def test_nothing_is_kept_of_a_folder_that_was_rehearsed_in(tmp_path: Path) -> None:
    """A service meets thousands of them in its years: 3 kB were kept of each."""
    root, folders = str(tmp_path), 30

    async def kept() -> int:
        place = Place(outbox=root)
        rehearsal = Rehearsal("/journal", root)
        await rehearsal.of_folder(place, root, root)
        gc.collect()
        tracemalloc.start()
        for number in range(folders):
            folder = os.path.join(root, f"Artist {number}")
            await rehearsal.of_folder(place, root, folder)
            assert os.listdir(folder) == []
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    try:
        assert asyncio.run(kept()) / folders < 600
    finally:
        tracemalloc.stop()
