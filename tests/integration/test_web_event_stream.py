"""A stream in which nothing happens: it says so, and it ends when it is told to."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stemwatch import config
from stemwatch.disks.places import Place
from stemwatch.job import JobState
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.service.app import Service
from stemwatch.service.opened_folders import opened
from stemwatch.service.page_setup import backing_of
from stemwatch.web.guard.callers import Caller
from stemwatch.web.live.event_stream import Stream
from stemwatch.web.live.state import MOST, Live
from stemwatch.web.long_requests import LongRequests
from stemwatch.wiring.working_set import working_set
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from tests.acceptance.harness import KEY, Home
from tests.support.journal import new_job
from tests.support.waiting import wait_for_async


class Reader:
    """The other end: what came, and whether it has left."""

    def __init__(self) -> None:
        self.text = ""
        self.left = asyncio.Event()
        self.scope = {"state": {"caller": Caller("10.0.0.1", "nas", False), "connection": self}}

    def set_apart(self, *, stall: float | None = None) -> None:
        """It is the only one."""

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.text += message.get("body", b"").decode()


def is_looking() -> bool:
    """Whether the page's task is there, which looks for what has changed."""
    return any(task.get_name() == "page" for task in asyncio.all_tasks())


@asynccontextmanager
async def lives(root: Path) -> AsyncIterator[tuple[Live, Context]]:
    """The page's state of a service whose pool does not run; a look that fails fails the test."""
    home = Home(root, "http://127.0.0.1:9/v1", web={"listen": "127.0.0.1:0", "page": True})
    settings = config.load(os.fspath(home.config), env=home.env())
    config.make_folders(settings)
    folders = settings.folders
    place = Place(folders.outbox, folders.inbox, folders.quarantine, None)
    async with working_set(settings, key=KEY, places={None: place}, timing=Timing()) as context:
        service = Service(settings, context, await opened(settings, Timing(), {}), {})
        journal = ReadOnlyJournal(context.journal.path)
        faults: list[object] = []
        yield Live(backing_of(service), journal, lambda *fault: faults.append(fault)), context
        assert faults == []
        journal.close()


def test_pings_come_while_nothing_happens_and_nobody_looks_afterwards(tmp_path: Path) -> None:
    """A page knows that it is not forgotten; a service without one does nothing."""

    async def watch() -> None:
        async with lives(tmp_path) as (live, _):
            reader, long_requests = Reader(), LongRequests()
            stream = Stream(live, long_requests, "", lambda scope: True, 0.05)
            running = asyncio.create_task(stream(reader.scope, reader.receive, reader.send))
            await wait_for_async(lambda: reader.text.count("event: ping") >= 3)
            assert reader.text.startswith("retry: 2000\nid: ")
            assert is_looking()
            reader.left.set()
            await running
            await wait_for_async(lambda: not is_looking())
            other = Reader()
            stream = Stream(live, long_requests, "", lambda scope: True)
            ending = asyncio.create_task(stream(other.scope, other.receive, other.send))
            await wait_for_async(lambda: "snapshot" in other.text)
            live.close()
            await ending
            assert other.text.endswith("event: bye\ndata: {}\n\n")

    asyncio.run(watch())


def shown(text: str) -> set[int]:
    """The ids of the songs that a browser has after these events."""
    ids: set[int] = set()
    for event in text.split("\n\n")[:-1]:
        lines = dict(line.partition(": ")[::2] for line in event.splitlines())
        data = json.loads(lines["data"])
        if lines["event"] == "snapshot":
            ids.clear()
        ids |= {job["id"] for job in data.get("jobs", [])}
        ids -= set(data.get("gone", []))
    return ids


def test_a_page_that_stays_open_holds_what_it_shows(tmp_path: Path) -> None:
    """Each song that changed meanwhile stayed, 5 kB of it, until the page was closed."""

    async def watch() -> None:
        async with lives(tmp_path) as (live, context):
            reader, journal = Reader(), context.journal
            stream = Stream(live, LongRequests(), "", lambda scope: True)
            running = asyncio.create_task(stream(reader.scope, reader.receive, reader.send))
            await wait_for_async(lambda: "snapshot" in reader.text)
            some = [new_job(number) for number in range(3 * MOST + 50)]
            some += [new_job(5000, state=JobState.QUARANTINED)] * (MOST + 10)
            jobs = await asyncio.gather(*(journal.add(job) for job in some))
            ids = [job.id for job in jobs]
            line, bad = ids[: 3 * MOST + 50], set(ids[-MOST:])
            await wait_for_async(lambda: live._jobs.keys() == {*line[:MOST]} | bad)
            await wait_for_async(lambda: shown(reader.text) == {*line[:MOST]} | bad)
            # Those in line behind them are shown once there is room.
            await journal.put_first(line[-1:])
            away = MOST // 2 + 2
            await asyncio.gather(*(journal.advance(job, JobState.GONE) for job in jobs[:away]))
            there = {*line[away:][: MOST - 1], line[-1]} | bad
            await wait_for_async(lambda: live._jobs.keys() == there)
            await wait_for_async(lambda: shown(reader.text) == there)
            reader.left.set()
            await running

    asyncio.run(watch())


def test_of_very_many_songs_a_page_has_the_ones_that_a_person_looks_for(tmp_path: Path) -> None:
    """The first in line, the newest in quarantine, and whatever is at work; then those behind."""

    async def watch() -> None:
        async with lives(tmp_path) as (live, context):
            journal = context.journal
            some = [new_job(number) for number in range(MOST + 20)]
            some += [new_job(5000, state=JobState.QUARANTINED)] * (MOST + 20)
            jobs = await asyncio.gather(*(journal.add(job) for job in some))
            ids = [job.id for job in jobs]
            line, bad = ids[: MOST + 20], ids[MOST + 20 :]
            with live.watched():
                await live.ready()
                assert {*bad[20:]} == live._jobs.keys() - {*line}
                assert {*line[:MOST]} <= live._jobs.keys()
                context.progress.stage(line[-1], "song.wav", "upload", 1000.0)
                await wait_for_async(lambda: live._shown.get(line[-1], {}).get("stage") == "upload")
                gone = jobs[MOST + 40 :]
                await asyncio.gather(*(journal.advance(job, JobState.GONE) for job in gone))
                await wait_for_async(lambda: {*bad[:20]} == live._jobs.keys() - {*line})

    asyncio.run(watch())


def test_a_page_is_told_all_anew_where_too_much_has_gone_at_once(tmp_path: Path) -> None:
    """Else the songs whose removal is forgotten already would stay in it."""

    async def watch() -> None:
        async with lives(tmp_path) as (live, _):
            reader = Reader()
            stream = Stream(live, LongRequests(), "", lambda scope: True)
            running = asyncio.create_task(stream(reader.scope, reader.receive, reader.send))
            await wait_for_async(lambda: "snapshot" in reader.text)
            states = [JobState.QUEUED] * MOST + [JobState.QUARANTINED] * MOST + [JobState.DONE] * 9
            some = [new_job(id=number, state=state) for number, state in enumerate(states, 1)]
            live._take(some)
            live._wake()
            await wait_for_async(lambda: len(shown(reader.text)) == len(some))
            live._take(job.evolve(state=JobState.GONE) for job in some)
            live._wake()
            await wait_for_async(lambda: not shown(reader.text))
            reader.left.set()
            await running

    asyncio.run(watch())
