"""Songs whose stems are dead for good: they end no pause, so they must hold none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from stemwatch.codes import Code
from stemwatch.errors import RetryLater
from stemwatch.job import STEMS, JobState
from stemwatch.stemsplit.interface import RemoteJob, RemoteStatus
from stemwatch.workers.context import Context
from stemwatch.workers.pool.ended_songs import Forgetting
from stemwatch.workers.pool.turns import Pool
from tests.support.clocked import a_job, in_context
from tests.support.journal import new_job
from tests.support.telling_wire import Wire, opened
from tests.support.waiting import Clock, wait_for_async


class Fetched(Wire):
    """Its storage fails for every stem, but of the remote job `alive` it gives a bad one."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []  # remote ids, as they were fetched

    async def job(self, remote_id: str, *, stems: int) -> RemoteJob:
        urls = dict.fromkeys(STEMS[stems], f"http://127.0.0.1:9/{remote_id}")
        return RemoteJob(RemoteStatus.COMPLETED, urls)

    async def download(self, url: str, *_: object, **__: object) -> int:
        self.asked.append(os.path.basename(url))
        raise RetryLater("no.", code=Code.SHORT_BODY, server_down="alive" not in url)


async def separated(ctx: Context, number: int, remote_id: str) -> int:
    (queued,) = await ctx.journal.in_states([JobState.QUEUED])
    song = new_job(number, state=JobState.SEPARATED, remote_id=remote_id, outbox=queued.outbox)
    return (await ctx.journal.add(song)).id


@pytest.mark.parametrize("others", [["alive"], []])
def test_songs_whose_stems_are_dead_hold_no_pause(tmp_path: Path, others: list[str]) -> None:
    """Those left to themselves were the only ones to try, or came before all that tell: for ever.

    With the pause submitting was held for everybody, and no song could come to end it.
    """

    async def scenario() -> None:
        wire = Fetched()
        async with opened(tmp_path, wire) as ctx:
            ctx.gate.downloads.dead = {
                await separated(ctx, number, f"dead-{number}") for number in (2, 3)
            }
            met = [await separated(ctx, 4, remote_id) for remote_id in others]
            for song in [*met, 98, 99, 98, 99, 98]:  # two of those left meanwhile
                ctx.gate.storage_failed(song, "503", after=0.0)
            assert [pause.code for pause in ctx.gate.pauses] == ["storage"]
            pool = Pool(ctx)
            running = asyncio.create_task(pool.run())
            await wait_for_async(lambda: wire.answered)  # the queued song is paid for
            await pool.stop(5.0)
            await running
            assert wire.asked[: len(others)] == others

    asyncio.run(scenario())


def test_a_dead_song_that_ended_is_forgotten(tmp_path: Path) -> None:
    """Whoever ended it; in a service that runs for years they would pile up."""

    async def work(ctx: Context, _: Clock) -> None:
        kept, gone = await a_job(ctx, JobState.SEPARATED), await a_job(ctx)
        await ctx.journal.advance(gone, JobState.GONE)
        ctx.gate.downloads.dead = {kept.id, gone.id}
        await Forgetting(ctx).now_and_then()
        assert ctx.gate.downloads.dead == {kept.id}

    in_context(tmp_path, work)
