"""A stream in which nothing happens: it says so, and it ends when it is told to."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from stemwatch import config
from stemwatch.disks.places import Place
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.service.app import Service
from stemwatch.service.opened_folders import opened
from stemwatch.service.page_setup import backing_of
from stemwatch.web.guard.callers import Caller
from stemwatch.web.live.event_stream import Stream
from stemwatch.web.live.state import Live
from stemwatch.web.pots import Pots
from stemwatch.wiring.working_set import working_set
from stemwatch.workers.pacing.timing import Timing
from tests.acceptance.harness import KEY, Home
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


def test_pings_come_while_nothing_happens_and_nobody_looks_afterwards(tmp_path: Path) -> None:
    """A page knows that it is not forgotten; a service without one does nothing."""

    async def watch() -> None:
        home = Home(tmp_path, "http://127.0.0.1:9/v1", web={"listen": "127.0.0.1:0", "page": True})
        settings = config.load(os.fspath(home.config), env=home.env())
        config.make_folders(settings)
        folders = settings.folders
        place = Place(folders.outbox, folders.inbox, folders.quarantine, None)
        async with working_set(settings, key=KEY, places={None: place}, timing=Timing()) as context:
            service = Service(settings, context, await opened(settings, Timing(), {}), {})
            journal = ReadOnlyJournal(context.journal.path)
            faults: list[object] = []
            live = Live(backing_of(service), journal, lambda *fault: faults.append(fault))
            reader, pots = Reader(), Pots()
            stream = Stream(live, pots, "", lambda scope: True, 0.05)
            running = asyncio.create_task(stream(reader.scope, reader.receive, reader.send))
            await wait_for_async(lambda: reader.text.count("event: ping") >= 3)
            assert reader.text.startswith("retry: 2000\nid: ")
            assert is_looking()
            reader.left.set()
            await running
            await wait_for_async(lambda: not is_looking())
            other = Reader()
            ending = asyncio.create_task(
                Stream(live, pots, "", lambda scope: True)(other.scope, other.receive, other.send)
            )
            await wait_for_async(lambda: "snapshot" in other.text)
            live.close()
            await ending
            assert other.text.endswith("event: bye\ndata: {}\n\n")
            assert faults == []
            journal.close()

    asyncio.run(watch())
