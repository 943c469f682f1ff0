"""`split` beside others who have the same songs: one song's trouble is no other's."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from pathlib import Path

from stemwatch import config
from stemwatch.config import Settings, make_folders
from stemwatch.job import Identity, JobState, Options, content_key
from stemwatch.journal.journal import Journal
from stemwatch.journal.schema import JOURNAL
from stemwatch.operations.split import Order, run_split
from stemwatch.workers.pacing.timing import Timing
from tests.acceptance.harness import KEY, Home
from tests.support.journal import new_job
from tests.support.scenario.caller import make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for_async


def test_a_song_that_another_run_is_at_ends_no_other(tmp_path: Path) -> None:
    """Paid, in quarantine, and under way at the service by now: told, and the rest go on."""
    with ScenarioServer(wire="separate", key=KEY, job_seconds=0.1) as server:
        home = Home(tmp_path, server.url)
        settings = config.load(str(home.config), env={})
        make_folders(settings)
        songs = [make_song(tmp_path / f"{name}.wav", name=name) for name in "abc"]
        told: list[str] = []
        order = Order(
            [str(song) for song in songs],
            str(tmp_path / "out"),
            Options(),
            tell=lambda line, good: told.append(line),
        )

        async def split_beside() -> tuple[int, int]:
            await _paid_and_under_way(settings, songs[0], order.out)
            ran = run_split(settings, order, key=KEY, timing=Timing().scaled(0.02))
            report = await asyncio.wait_for(ran, 60)
            return report.delivered, report.failed

        assert asyncio.run(split_beside()) == (2, 1)
        assert any("a.wav" in line and "being separated already" in line for line in told), told


def test_an_interrupt_leaves_no_song_on_its_way_in(tmp_path: Path) -> None:
    """Looked at after the helpers' end, a song was blamed for it, or hung the end."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    settings = config.load(str(home.config), env={})
    make_folders(settings)
    songs = [make_song(tmp_path / f"{number}.wav", name=str(number)) for number in range(40)]
    left: list[int] = []

    def admissions() -> int:
        return sum("_admit_all.<locals>.admit" in repr(task) for task in asyncio.all_tasks())

    async def interrupted() -> bool:
        order = Order(
            [str(song) for song in songs],
            str(tmp_path / "out"),
            Options(),
            show=lambda context, report: left.append(admissions()),
        )
        ran = asyncio.create_task(run_split(settings, order, key=KEY))
        await wait_for_async(lambda: admissions() == 32)
        os.kill(os.getpid(), signal.SIGINT)
        return (await ran).interrupted

    assert asyncio.run(interrupted())
    assert left[-1] == 0


async def _paid_and_under_way(settings: Settings, song: Path, out: str) -> None:
    sha256 = hashlib.sha256(song.read_bytes()).hexdigest()
    same = {"sha256": sha256, "content_key": content_key(sha256, Options(), local=False)}
    journal = Journal(os.path.join(settings.state_dir, JOURNAL))
    try:
        await journal.add(
            new_job(
                1,
                **same,
                path=str(song),
                relpath=song.name,
                identity=Identity.of(song.stat()),
                origin="split",
                owner="split-1-gone",
                outbox=out,
                state=JobState.QUARANTINED,
                code="bad_stem",
                remote_id="r1",
                filed_to=str(song),
            )
        )
        await journal.add(new_job(2, **same, state=JobState.SEPARATING, remote_id="r2"))
    finally:
        journal.close()
