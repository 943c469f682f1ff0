"""A worker of the cluster: some seats that take songs off the queue, each with a warm process."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from stemwatch.server.cluster.database import Connection, Database
from stemwatch.server.cluster.enlisted import Enlisted
from stemwatch.server.cluster.pg_records import PgRecords
from stemwatch.server.cluster.shared_folder import is_shared
from stemwatch.server.cluster.tickets_of_jobs import CHANNEL, Tickets, put_back, strike
from stemwatch.server.offer import Offer
from stemwatch.server.work.attempt import Attempts, reason
from stemwatch.server.work.process import Worker, end
from stemwatch.server.work.record import Record
from stemwatch.server.work.records import Unavailable
from stemwatch.tasks import supervised

LOOK = 5.0  # seconds between two looks at the queue when nobody tells of a new job
SHOW = 1.0  # seconds between two notes of the progress: a poll sees it within two
GIVING_BACK = 5.0  # seconds
LONGEST = 60.0  # seconds that a job waits for its file or for a disk, until it is tried again
SURE = 3  # times put back: a file that is not there then was deleted


@dataclass(slots=True)
class _Held:
    """A job that this worker has; `folder`: where its attempt writes."""

    job: int
    song: str
    put_back: int = 0  # so often before
    progress: float = 0.0
    shown: float = 0.0
    folder: str | None = None


class Crew:
    """Works off the cluster's jobs. `broken` is told of a fault of our own, which ends it."""

    def __init__(
        self,
        database: Database,
        tickets: Tickets,
        records: PgRecords,
        *,
        offer: Offer,
        report: Callable[[str], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._database = database
        self._tickets = tickets
        self._records = records
        self._offer = offer
        self._report = report
        self._broken = broken
        self._held: dict[int, _Held] = {}  # by the queue's id: a song may come twice
        self._wanting = asyncio.Semaphore(0)  # one for each seat that is free
        self._taken: asyncio.Queue[_Held] = asyncio.Queue()
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self.busy = asyncio.Lock()
        self._stems = list(offer.models) or [2, 4, 6]
        self._tasks: list[asyncio.Task[None]] = []

    def jobs(self) -> list[int]:
        """The queue's ids of what this worker has."""
        return list(self._held)

    def working(self, song: str, folder: str) -> None:
        """Note the work folder of an attempt."""
        for one in self._held.values():
            if one.song == song:
                one.folder = folder

    def start(self, enlisted: Enlisted, attempts: Attempts) -> None:
        self._enlisted, self._attempts = enlisted, attempts
        self._taking = supervised(self._take(), self._broken)
        loops = [enlisted.run(), self._listen(), self._show()]
        seats = [self._seat() for _ in range(self._offer.seats)]
        self._tasks = [supervised(one, self._broken) for one in (*loops, *seats)]

    async def stop(self) -> None:
        """Take nothing more, end the engines, and give back at once what was being made."""
        self._stopping.set()
        self._news.set()
        await asyncio.gather(self._taking, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Unavailable, TimeoutError):  # else it is swept
            async with asyncio.timeout(GIVING_BACK):
                for one in list(self._held.values()):
                    await self._give_back(one)
                await self._enlisted.leave()

    async def _take(self) -> None:
        """Hand jobs to free seats. Never cancelled amid a taking: what is taken must be known."""
        while not self._stopping.is_set():
            if not await self._waited(self._wanting.acquire()):
                return
            while not self._stopping.is_set():
                self._news.clear()
                if (one := await self._next()) is not None:
                    self._taken.put_nowait(one)
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._news.wait()

    async def _waited(self, free: Coroutine[Any, Any, object]) -> bool:
        """Wait for a free seat; False where the worker stops first."""
        waiting = supervised(free, self._broken)
        stopping = supervised(self._stopping.wait(), self._broken)
        await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
        for future in (waiting, stopping):
            future.cancel()
        return not self._stopping.is_set()

    async def _next(self) -> _Held | None:
        try:
            async with self.busy:
                taken = await self._tickets.take(self._stems, self._enlisted.id)
                if taken is None:
                    return None
                held = _Held(*taken)
                self._held[held.job] = held
                return held
        except Unavailable as fault:
            self._report(f"no job is taken: {fault}")
            return None

    async def _seat(self) -> None:
        worker: Worker | None = None
        told: str | None = None  # of what keeps jobs from being done, while it lasts
        pace, trial = self._attempts.pace, self._attempts.trial
        try:
            while True:
                await trial.wait()
                self._wanting.release()
                while True:
                    try:
                        async with asyncio.timeout(pace.idle if worker else None):
                            held = await self._taken.get()
                        break
                    except TimeoutError:
                        await end(worker)
                        worker = None
                wait: float | None = pace.pause
                try:
                    await self._attempts.room_for(held.song)
                    if worker is None or not worker.alive:
                        worker = await Worker.start(self._offer.placed)
                    wait = await self._work(worker, held)
                    told = told if wait is not None else None
                # The disk, the process table or the database: not the job's fault.
                except (OSError, Unavailable) as fault:
                    if (why := reason(fault)) != told:
                        self._report(f"{held.song} waits: {fault}")
                        told = why
                    await asyncio.sleep(pace.pause)
                    # Longer each time: newer songs, which may have their file, come in between.
                    wait = min(pace.pause * 2.0 ** min(held.put_back, 10), LONGEST)
                await self._settle(held, wait)
                if trial.why is not None:
                    await end(worker)  # the libraries that it has loaded may be broken
                    worker = None
        finally:
            await end(worker)

    async def _work(self, worker: Worker, held: _Held) -> float | None:
        """Do one job. Returns after how many seconds it is to be tried again; None: it has ended.

        The look at the record comes first: each queue delivers some jobs again after their end.
        """
        record = await self._records.get(held.song)
        if record is None or record.state != "processing":
            return None
        if await self._records.recover(record):
            return None
        if await self._deleted(held, record):
            await self._attempts.fail(record, "Its file is not there any more; send it again.")
            return None

        def progress(fraction: float) -> None:
            held.progress = fraction

        again = await self._attempts.make(worker, record, progress)
        return self._attempts.pace.pause if again else None

    async def _deleted(self, held: _Held, record: Record) -> bool:
        """Whether its file was; raises OSError where it is not there, and that may pass."""
        if await asyncio.to_thread(self._there, record):
            return False
        await self._require_folder()
        # The folder may have come back between the two looks.
        if await asyncio.to_thread(self._there, record):
            return False
        if held.put_back < SURE:
            raise FileNotFoundError("its file is not there")
        return True

    def _there(self, record: Record) -> bool:
        """Whether its file is; raises OSError where the folder doesn't say."""
        try:
            os.stat(self._attempts.files.input_path(record))
        except FileNotFoundError:
            return False
        return True

    async def _require_folder(self) -> None:
        files = self._attempts.files
        if not await is_shared(self._database, files):
            raise FileNotFoundError(f"its file is not there, nor is the folder of all machines: is "
                                    f"it mounted? ({files.root})")  # fmt: skip

    async def _settle(self, held: _Held, wait: float | None) -> None:
        """Take the job off the queue, or give it back; the record's end may have done so."""
        while True:
            try:
                if wait is not None:
                    await self._give_back(held, wait)
                else:
                    async with self._database.transaction() as connection:
                        await _strike_mine(connection, held.job, self._enlisted.id)
                    self._held.pop(held.job, None)
                return
            except Unavailable:
                await asyncio.sleep(SHOW)

    async def _give_back(self, held: _Held, wait: float = 0.0) -> None:
        async with self._database.transaction() as connection:
            await put_back(connection, held.job, self._enlisted.id, wait)
        self._held.pop(held.job, None)
        asyncio.get_running_loop().call_later(wait, self._news.set)

    async def _listen(self) -> None:
        """Wake at each new job; where that fails, the queue is looked at all the same."""
        while True:
            try:
                await self._database.heard(CHANNEL, self._news.set)
            except Unavailable:
                pass
            await asyncio.sleep(SHOW)

    async def _show(self) -> None:
        """Note the progress of what runs, and that the attempts' folders are in use."""
        while True:
            await asyncio.sleep(SHOW)
            changed = [one for one in self._held.values() if one.progress != one.shown]
            for held in list(self._held.values()):
                if held.folder is not None:
                    with contextlib.suppress(OSError):
                        await asyncio.to_thread(os.utime, held.folder)
            if not changed:
                continue
            with contextlib.suppress(Unavailable):
                values = [(one.progress, one.song) for one in changed]
                async with self._database.transaction() as connection, connection.cursor() as to:
                    await to.executemany(
                        "update stemwatch_song set progress = %s where id = %s", values
                    )
                for one, (shown, _) in zip(changed, values, strict=True):
                    one.shown = shown


async def _strike_mine(connection: Connection, job: int, worker: int) -> None:
    cursor = await connection.execute(
        "select 1 from procrastinate_jobs where id = %s and worker_id = %s", (job, worker)
    )
    if await cursor.fetchone() is not None:
        await strike(connection, job)
