"""The signs of life, of a real journal, real rounds and a real pool, on a clock of our own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stemwatch.codes import SUBMIT
from stemwatch.config import Folders, Settings
from stemwatch.disks.places import Place
from stemwatch.inbox.names import Filter
from stemwatch.inbox.rounds import Rounds
from stemwatch.inbox.settle import Settler
from stemwatch.inbox.watcher import Watcher
from stemwatch.service import watchdog
from stemwatch.service.admission import Front
from stemwatch.service.watchdog import Vital
from stemwatch.wiring.working_set import intake_of, working_set
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pool.turns import Pool
from tests.support.waiting import Clock, wait_for_async

RESCAN = 30.0


class Parts:
    """A service's rooms, put together as `app` does, and not set going."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self.clock, self.context = Clock(), context
        place = context.places[None]
        context.clock = self.clock
        inbox = settings.folders.inbox
        self.pool = Pool(context)
        self.rounds = Rounds(
            inbox,
            filter=Filter(["wav"]),
            settler=Settler(1, samples=3, capacity=9, patience=9, compare_inode=True),
            watcher=Watcher(inbox, mode="poll", loop=asyncio.get_running_loop(), wake=lambda: None),
            journal=context.journal,
            front=Front(
                settings.every_inbox[0], context, place, intake_of(context, place), ahead=False
            ),
            rescan_seconds=RESCAN,
            clock=self.clock,
        )
        self.vital = Vital(
            self.rounds,
            context.journal,
            self.pool,
            rescan=lambda: RESCAN,
            longest_call=lambda: 600.0,
            clock=self.clock,
        )

    async def later(self, seconds: float, *, round_too: bool = True) -> str:
        """What hangs after `seconds` more; the rounds go on in them unless they are what hangs."""
        self.clock.now += seconds
        if round_too:
            await self.rounds._round()
        hung = self.vital.hung()
        if self.vital._pulse is not None:
            await self.vital._pulse  # the journal answers, however long that takes it
        return hung


@asynccontextmanager
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    (tmp_path / "inbox").mkdir()
    folders = {name: str(tmp_path / name) for name in ("inbox", "outbox", "quarantine", "archive")}
    settings = Settings(folders=Folders(**folders), state_dir=str(tmp_path / "state"))
    place = Place(outbox=folders["outbox"], inbox=folders["inbox"])
    async with working_set(settings, key="sk", places={None: place}, timing=Timing()) as context:
        yield Parts(settings, context)


async def _goes_on(tmp_path: Path) -> None:
    async with parts(tmp_path) as service:
        for _ in range(20):
            assert await service.later(100.0) == ""


async def _rounds_stand_still(tmp_path: Path) -> None:
    async with parts(tmp_path) as service:
        assert await service.later(RESCAN + watchdog.ROUNDS_PATIENCE, round_too=False) == ""
        told = await service.later(1.0, round_too=False)
        assert told == "the look through the inbox has not moved for 331 s"
        assert await service.later(1.0) == ""


async def _journal_hangs(tmp_path: Path) -> None:
    async with parts(tmp_path) as service:
        release = threading.Event()
        stuck = service.context.journal._writer.submit(lambda db: release.wait(60))
        try:
            assert service.vital.hung() == ""
            service.clock.now += watchdog.JOURNAL_PATIENCE
            assert service.vital.hung() == ""
            service.clock.now += 1.0
            assert service.vital.hung() == "the journal has not moved for 121 s"
        finally:
            release.set()
        await stuck
        await wait_for_async(lambda: service.vital.hung() == "")


async def _a_step_hangs(tmp_path: Path) -> None:
    async with parts(tmp_path) as service:
        lane, forever = service.pool._lanes[SUBMIT], asyncio.Event()
        lane.tasks[1] = asyncio.create_task(forever.wait())  # type: ignore[assignment]
        assert await service.later(0.0) == ""
        assert await service.later(600.0 + watchdog.STEP_PATIENCE) == ""
        service.context.progress.changes += 1  # a byte went through
        assert await service.later(300.0) == ""
        for _ in range(5):
            told = await service.later(200.0)
        assert told == ""
        assert await service.later(201.0) == "the workers have not moved for 1201 s"
        forever.set()
        await lane.tasks.pop(1)
        assert await service.later(1.0) == ""


async def _the_plan_hangs(tmp_path: Path) -> None:
    async with parts(tmp_path) as service:
        service.pool._turned = service.clock()
        assert await service.later(watchdog.TURN_PATIENCE) == ""
        assert "the worker pool's planning" in await service.later(1.0)


def test_a_service_that_goes_on_is_not_hung(tmp_path: Path) -> None:
    """However long it runs."""
    asyncio.run(_goes_on(tmp_path))


def test_rounds_that_stand_still(tmp_path: Path) -> None:
    """A rescan and five minutes, then it is said; and taken back once they go on."""
    asyncio.run(_rounds_stand_still(tmp_path))


def test_a_journal_that_does_not_answer(tmp_path: Path) -> None:
    """Its writer hangs for real (as on a dead disk), while loop and rounds go on."""
    asyncio.run(_journal_hangs(tmp_path))


def test_a_step_that_never_ends(tmp_path: Path) -> None:
    """Longer than the longest call, and not a byte moves. One that moves may take for ever."""
    asyncio.run(_a_step_hangs(tmp_path))


def test_a_plan_that_never_ends(tmp_path: Path) -> None:
    """A turn of the pool is a few questions to the journal."""
    asyncio.run(_the_plan_hangs(tmp_path))
