"""A delivery is told only where it can be seen."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from stemwatch.disks.places import Anchor, Place
from stemwatch.errors import PauseService
from stemwatch.job import JobState
from stemwatch.outbox.staging import Staging
from stemwatch.workers.steps import deliver
from tests.acceptance.harness import Home
from tests.support.audio_samples import write
from tests.support.context import context_of
from tests.support.journal import new_job


def test_what_went_below_a_mount_point_is_not_told_as_delivered(tmp_path: Path) -> None:
    """The disk went away after the last look at it: the song waits for it, and is shown there."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.outbox.mkdir(exist_ok=True)
    outbox = os.fspath(home.outbox)
    away = Anchor(outbox, None, f"{outbox}/deeper/than/this")
    place = Place(outbox=outbox, inbox=os.fspath(home.inbox), anchors={outbox: away})
    staging = Staging(outbox, "1-x", "wav")
    write(Path(staging.part("vocals")), format="wav")
    staging.commit_part("vocals")

    async def scenario() -> None:
        async with context_of(home, place=place) as ctx, asyncio.timeout(20):
            job = new_job(path=f"{home.inbox}/song.wav", relpath="song.wav", outbox=outbox)
            with pytest.raises(PauseService) as raised:
                await deliver.publish(ctx, job, staging, cost_minutes=1.0)
            assert raised.value.code == "disk"
            assert await ctx.journal.with_content(job.content_key, [JobState.DELIVERED]) == []

    asyncio.run(scenario())


class _Names:
    """An encrypted folder's answer."""

    f_namemax = 143

    def __init__(self, found: os.statvfs_result) -> None:
        self.f_bavail, self.f_frsize = found.f_bavail, found.f_frsize


def test_a_long_folder_is_cut_for_a_disk_of_short_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encrypted outbox refused it, five times, and paid stems went to quarantine for good.

    What looks for a folder that a crash hid, or for one that takes files again, finds the same.
    """
    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: _Names(real(path)))
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.outbox.mkdir()
    outbox, below = os.fspath(home.outbox), f"Live/{'ä' * 100}"
    staging = Staging(outbox, "1-x", "wav")
    write(Path(staging.part("vocals")), format="wav")
    staging.commit_part("vocals")

    async def scenario() -> None:
        async with context_of(home) as ctx, asyncio.timeout(20):
            path = f"{home.inbox}/{below}/song.wav"
            told = {"path": path, "relpath": f"{below}/song.wav", "outbox": outbox}
            job = await ctx.journal.add(new_job(**told, state=JobState.SEPARATED))
            done = await deliver.publish(ctx, job, staging, cost_minutes=1.0)
            folder = os.path.dirname(done.delivered_to or "")
            assert os.path.basename(os.path.dirname(folder)) == "Live"
            assert len(os.path.basename(folder).encode()) <= 143
            assert deliver.parent_of(ctx, job) == folder
        started = Place(outbox=outbox, anchors={outbox: Anchor(outbox)})
        async with context_of(home, place=started) as ctx, asyncio.timeout(20):
            await started.demand_results()  # as before each step
            assert deliver.parent_of(ctx, job) == folder
            assert await deliver.published(ctx, job.evolve(content_key="another")) is not None

    asyncio.run(scenario())
