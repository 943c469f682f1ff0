"""One person's share hangs while songs of theirs are under way: everybody else's songs go on."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stemwatch.codes import SUBMIT
from stemwatch.disks.hanging import Reach
from stemwatch.disks.places import Anchor, Place
from stemwatch.job import Identity, Job
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pool.turns import Pool
from tests.acceptance.harness import Home
from tests.faults.exports import SFTP_MOUNT, SftpMount, why_no_shares
from tests.support.context import context_of
from tests.support.journal import new_job
from tests.support.scenario.caller import make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for_async

pytestmark = pytest.mark.skipif(
    why_no_shares(*SFTP_MOUNT) is not None, reason=str(why_no_shares(*SFTP_MOUNT))
)
TIMING = replace(Timing(), disk_slow=0.2, disk_recheck=0.2, job_guess=0.1)
HERS, HIS = "karaoke", "dj"


@pytest.fixture
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer(job_seconds=0.1) as server:
        yield server


class Case:
    """The folders of two people; one of hers is on `share`."""

    def __init__(self, root: Path, server: ScenarioServer, shared: str, at_once: int) -> None:
        api = {"poll_interval": 0.05, "max_concurrent": at_once}
        self.home = Home(root, server.url, api=api)
        (root / "there").mkdir()
        self.share = SftpMount(root / HERS / shared, root / "there")
        self.context: Context
        self.pool: Pool

    def folder(self, who: str, name: str) -> Path:
        path = self.home.root / who / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def place(self, who: str) -> Place:
        inbox, outbox = (str(self.folder(who, name)) for name in ("inbox", "outbox"))
        anchors = {path: Anchor(path) for path in (inbox, outbox)}
        for anchor in anchors.values():
            anchor.holds()
        # His disks answer, however long that takes a busy machine.
        reach = Reach(0.2) if who == HERS else Reach()
        return Place(outbox, inbox, network=True, anchors=anchors, reach=reach)

    def song(self, number: int, who: str) -> Job:
        """A song in this person's inbox, which is not in the journal yet."""
        path = self.folder(who, "inbox") / f"{number}.wav"
        make_song(path, 2.0)
        job = new_job(number, path=str(path), relpath=path.name, duration=2.0, inbox=who)
        outbox = str(self.folder(who, "outbox"))
        return job.evolve(identity=Identity.of(os.stat(path)), outbox=outbox)

    async def add(self, *songs: Job) -> None:
        for song in songs:
            await self.context.journal.add(song)
        self.context.bell.wake()

    async def start_helpers(self) -> None:
        """Both, before the share hangs: a process begins by closing the files that are open there.

        One that began meanwhile would answer only when the share does.
        """
        song = str(make_song(self.home.root / "any.wav"))
        await asyncio.gather(*(self.context.audio.probe(song) for _ in range(2)))

    async def done(self, count: int) -> None:
        await wait_for_async(lambda: self.home.journal_count("done") == count)

    def pauses(self) -> list[tuple[str, str | None]]:
        return [(pause.code, pause.inbox) for pause in self.context.gate.pauses]


async def paid(server: ScenarioServer, count: int) -> None:
    await wait_for_async(lambda: server.paid["total"] == count)


@asynccontextmanager
async def case(
    root: Path, server: ScenarioServer, shared: str, at_once: int
) -> AsyncIterator[Case]:
    """A working pool for two people."""
    one = Case(root, server, shared, at_once)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
    with one.share:
        async with context_of(one.home, timing=TIMING) as one.context:
            one.context.places = {who: one.place(who) for who in (HERS, HIS)}
            one.pool = Pool(one.context)
            running = asyncio.create_task(one.pool.run())
            try:
                yield one
            finally:
                one.share.thaw()
                await one.pool.stop(5.0)
                await running


def test_an_inbox_that_hangs_keeps_no_place_among_the_uploads(
    tmp_path: Path, server: ScenarioServer
) -> None:
    async def scenario() -> None:
        async with case(tmp_path, server, "inbox", at_once=2) as one:
            hers = [one.song(number, HERS) for number in range(4)]
            one.share.freeze()
            await one.add(*hers)
            await wait_for_async(lambda: len(one.pool._lanes[SUBMIT].tasks) == 2)
            await one.add(one.song(9, HIS))
            await paid(server, 1)
            await wait_for_async(lambda: one.pauses() == [("inbox", HERS)])
            one.share.thaw()
            await paid(server, 5)

    asyncio.run(scenario())


def test_an_outbox_that_hangs_keeps_no_seat_of_the_downloads(
    tmp_path: Path, server: ScenarioServer
) -> None:
    server.scenario(download=[{"until": "told", "times": 6}])

    async def scenario() -> None:
        async with case(tmp_path, server, "outbox", at_once=8) as one:
            await one.start_helpers()
            await one.add(*(one.song(number, HERS) for number in range(8)))
            await wait_for_async(lambda: len(server.requests("download")) >= 6)
            one.share.freeze()
            server.go_on()
            await one.add(one.song(9, HIS))
            await one.done(1)
            await wait_for_async(lambda: ("disk", HERS) in one.pauses())
            # Or the watchdog would end the service.
            await wait_for_async(lambda: not one.pool.busy)
            one.share.thaw()
            await one.done(9)
            assert server.paid["total"] == 9

    asyncio.run(scenario())


def test_an_upload_whose_share_hangs_gives_its_slot_back(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """It was looked at a last time in its slot, for as long as its share hung."""
    server.scenario(job_seconds=3600)

    async def scenario() -> None:
        async with case(tmp_path, server, "inbox", at_once=1) as one:
            await one.add(one.song(1, HIS))
            await wait_for_async(lambda: one.context.slots.held == 1)
            await one.add(one.song(2, HERS))
            await wait_for_async(lambda: one.context.slots._waiters)
            one.share.freeze()
            server.scenario(job_seconds=0.1)
            await one.add(one.song(3, HIS))
            await asyncio.sleep(1.1)  # longer than the kernel keeps what it saw of the file
            server.finish()
            await paid(server, 2)
            await wait_for_async(lambda: ("inbox", HERS) in one.pauses())
            one.share.thaw()
            await paid(server, 3)

    asyncio.run(scenario())


_ASKED = """
import sys, threading, time
from stemwatch.disks import durable
begun = threading.Event()
def ask():
    begun.set()
    durable.name_max(sys.argv[1])
threading.Thread(target=ask).start()
begun.wait()
for _ in range(50):
    time.sleep(0.001)
print("goes on", flush=True)
"""


def test_a_question_about_names_stops_its_own_thread_only(tmp_path: Path) -> None:
    """Python's `os.pathconf` stopped them all: the whole service hung with one person's share."""
    for name in ("share", "there"):
        (tmp_path / name).mkdir()
    with SftpMount(tmp_path / "share", tmp_path / "there") as share:
        share.freeze()
        asked = [sys.executable, "-c", _ASKED, str(tmp_path / "share")]
        with subprocess.Popen(asked, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                assert select.select([process.stdout], [], [], 60.0)[0]
            finally:
                share.thaw()  # until then not even a kill ends it
            assert process.stdout.read() == b"goes on\n"
