"""Several inboxes of one service: what hangs in the folders of one holds up no other."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stemwatch import config
from stemwatch.config import make_folders
from stemwatch.disks import durable
from stemwatch.disks.mounts import watch_mode
from stemwatch.outbox.quarantine import reason_bytes
from stemwatch.service.inboxes import AllServed, Served
from stemwatch.service.upkeep import steady_clock, tidying
from stemwatch.wiring.working_set import place_of, working_set
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pool import recovery
from tests.faults.exports import SFTP_MOUNT, hung, why_no_shares
from tests.support.commands import Home
from tests.support.journal import new_job
from tests.support.waiting import wait_for_async

NAMES = ("inbox", "outbox", "quarantine", "archive")
Open = Callable[[], Awaitable[None]]


@asynccontextmanager
async def served(
    root: Path, dj_opened: Open | None = None, timing: Timing | None = None
) -> AsyncIterator[tuple[Context, AllServed]]:
    """The service's own parts for two people, dj and karaoke, with nothing set going."""
    home = Home(root)
    folders = {who: {"folders": {n: f"{who}/{n}" for n in NAMES}} for who in ("dj", "karaoke")}
    home.config.write_text(
        f"state_dir: state\napi: {{base_url: 'http://127.0.0.1:9/v1'}}\ninboxes: {folders}\n"
    )
    settings = config.load(str(home.config), env={})
    make_folders(settings, inbox=True)
    timing = timing or Timing()
    modes = {one.name: watch_mode("poll", one.folders.inbox) for one in settings.every_inbox}
    places = {
        one.name: place_of(one.folders, modes[one.name], timing.disk_answer)
        for one in settings.every_inbox
    }
    async with working_set(settings, key="sk-test", places=places, timing=timing) as context:
        opened = {"dj": dj_opened, "karaoke": None}
        every = [
            Served(one, settings.watch, context, modes[one.name], opened[str(one.name)])
            for one in settings.every_inbox
        ]
        yield context, AllServed(every)


def test_each_is_prepared_while_another_waits_for_its_folders(tmp_path: Path) -> None:
    async def main() -> None:
        answered = asyncio.Event()

        async def opened() -> None:
            await answered.wait()

        async with served(tmp_path, opened) as (context, inboxes):
            preparing = asyncio.create_task(inboxes.prepare())
            await wait_for_async(lambda: context.places["karaoke"].prepared)
            assert not context.places["dj"].prepared
            answered.set()
            await preparing
            assert context.places["dj"].prepared

    asyncio.run(main())


def test_each_is_tidied_while_another_s_quarantine_hangs(tmp_path: Path) -> None:
    """Here its folder is locked, which a thread waits for as it does for a share that hangs."""
    stale = {
        who: tmp_path / who / "quarantine" / "gone.wav.reason.json" for who in ("dj", "karaoke")
    }

    async def main() -> None:
        async with served(tmp_path) as (context, inboxes):
            await inboxes.prepare()
            for path in stale.values():
                path.write_bytes(reason_bytes({}))
            tidies = asyncio.create_task(tidying.keep(context, inboxes, lambda _inbox: None))
            try:
                with durable.locked(str(stale["dj"].parent)):
                    await wait_for_async(lambda: not stale["karaoke"].exists())
                    assert stale["dj"].exists()
                await wait_for_async(lambda: not stale["dj"].exists())
            finally:
                tidies.cancel()
                await asyncio.gather(tidies, return_exceptions=True)

    asyncio.run(main())


def test_a_clock_that_jumped_is_told_once_for_all(tmp_path: Path) -> None:
    rounds: Counter[str | None] = Counter()

    def days(inbox: str | None) -> float:
        rounds[inbox] += 1
        return 30.0

    async def main() -> None:
        async with served(tmp_path, timing=Timing(tidy=0.001)) as (context, inboxes):
            await inboxes.prepare()
            await context.journal.note(steady_clock.FACT, "1000 1000")
            tidies = asyncio.create_task(tidying.keep(context, inboxes, days))
            await wait_for_async(lambda: len(rounds) == 2 and min(rounds.values()) > 1)
            tidies.cancel()
            await asyncio.gather(tidies, return_exceptions=True)

    with capture_logs() as logs:
        asyncio.run(main())
    assert sum(line["event"] == "archive.waits" for line in logs) == 1


@pytest.mark.skipif(why_no_shares(*SFTP_MOUNT) is not None, reason=str(why_no_shares(*SFTP_MOUNT)))
def test_outboxes_that_are_configured_no_more_are_asked_at_once(tmp_path: Path) -> None:
    """In turn, the first would have been given up before the second was asked."""
    shared, there = tmp_path / "old", tmp_path / "there"
    outboxes = [shared / "one", shared / "two"]

    async def main() -> None:
        async with served(tmp_path) as (context, _):
            for number, path in enumerate(outboxes):
                (there / path.name).mkdir(parents=True)
                await context.journal.add(new_job(number, inbox=path.name, outbox=str(path)))
            before = _looks()
            with hung(shared, there) as share:
                recovering = asyncio.create_task(recovery.recover(context))
                await wait_for_async(lambda: len(_looks() - before) == 2)
                share.thaw()
                await recovering
            for path in outboxes:
                assert await context.journal.fact(f"disk of {path}") is not None

    asyncio.run(main())


def _looks() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "reach"}
