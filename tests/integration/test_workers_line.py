"""The line to the API: songs go up one after another, and nothing is done between two of them."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest

from stemwatch.codes import SUBMIT
from stemwatch.job import Identity, Job
from stemwatch.workers.pool.turns import Pool
from tests.acceptance.harness import Home
from tests.acceptance.songs import loud_wav
from tests.support.context import context_of
from tests.support.journal import new_job
from tests.support.scenario.server import ScenarioServer
from tests.support.stepwise import stepwise
from tests.support.waiting import wait_for_async

API = {"poll_interval": 0.05, "max_concurrent": 3}
RATE = 20_000.0  # bytes a second: a song of a few seconds takes most of a minute


def song(home: Home, number: int, *, seconds: float = 0.0, size: int = 0) -> Job:
    """A queued song: loud, of so many seconds, or of so many bytes that nobody reads."""
    path = home.inbox / f"song {number}.wav"
    path.write_bytes(loud_wav(number, seconds=seconds) if seconds else b"")
    os.truncate(path, size or path.stat().st_size)
    job = new_job(number, path=str(path), relpath=path.name, identity=Identity.of(path.stat()))
    codec = "pcm_s16le" if seconds else "mp3"
    return job.evolve(outbox=str(home.outbox), codec=codec, duration=seconds or 60.0)


@pytest.mark.parametrize(("size", "at_once"), [(1_000, 3), (30_000_000, 1)])
def test_a_large_song_has_the_line_for_itself(tmp_path: Path, size: int, at_once: int) -> None:
    """Three at once would all be late: the first slot would stand empty for as long as all take."""

    async def scenario() -> None:
        home = Home(tmp_path, "http://127.0.0.1:9/v1", api=API)
        async with context_of(home) as context:
            for number in range(3):
                await context.journal.add(song(home, number, size=size))
            pool = Pool(context)
            await pool._fill_submit()
            assert len(pool._lanes[SUBMIT].tasks) == at_once
            await pool.stop(0.1)

    asyncio.run(scenario())


def test_the_line_waits_for_no_encoder(tmp_path: Path) -> None:
    """The first song is encoded first; each other one's upload begins before the line is free.

    In the server's own clock, on a line that is slow until all have begun: so none of them ends
    before the next one begins, although an encoder takes long on a busy machine.
    """

    async def scenario() -> None:
        with ScenarioServer(job_seconds=0.05, up_rate=RATE, receive_buffer=65_536) as server:
            home = Home(tmp_path, server.url, api=API)
            async with context_of(home) as context:
                for number in range(3):
                    await context.journal.add(song(home, number, seconds=6.0))
                pool = Pool(context)
                await pool._fill_submit()
                assert context.preparing.ahead is None
                running = asyncio.create_task(pool.run())
                await wait_for_async(lambda: len(server.requests("post")) == 3)
                server.scenario(up_rate=None)
                server.routes.uplink.rate = None  # of the uploads under way, too
                await wait_for_async(lambda: home.journal_count("done") == 3)
                await pool.stop(20.0)
                await running
            posts = server.requests("post")
        assert [entry["filename"] for entry in posts] == [f"song {n}.flac" for n in range(3)]
        for before, after in pairwise(posts):
            assert after["time"] < before["finished"]

    asyncio.run(scenario())


def test_nothing_is_prepared_ahead_once_the_pool_stops(tmp_path: Path) -> None:
    """A turn was under way: the encoder begun by it outlived its helpers, and hung the end."""

    async def stopped_at(number: int) -> bool:
        """Whether the turn still waited for something that many times when the stop came."""
        with ScenarioServer(up_rate=1_000.0) as server:
            home = Home(tmp_path / str(number), server.url, api=API)
            async with context_of(home) as context:
                await context.journal.add(song(home, 0, size=30_000_000))
                await context.journal.add(song(home, 1, seconds=6.0))
                pool, waits = Pool(context), 0
                async for _ in stepwise(pool._fill_submit()):
                    waits += 1
                    if waits == number:
                        await pool.stop(0.1)
                assert (context.preparing.ahead is None) is (waits >= number)
                await pool.stop(0.1)
                return waits >= number

    async def scenario() -> None:
        number = 1
        while await stopped_at(number):
            number += 1
        assert number > 2

    asyncio.run(scenario())
