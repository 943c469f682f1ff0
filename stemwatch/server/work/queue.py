"""The queue of one server's jobs: some seats, each with a warm worker process."""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Callable
from typing import NamedTuple

from stemwatch.server.offer import Offer
from stemwatch.server.work.attempt import Attempts, reason
from stemwatch.server.work.json_records import JsonRecords
from stemwatch.server.work.process import Worker, end
from stemwatch.server.work.record import Record
from stemwatch.server.work.records import Load, Standing
from stemwatch.server.work.turns_of_keys import turn
from stemwatch.tasks import supervised


class _Place(NamedTuple):
    """A waiting job's; the least one is next."""

    turn: int
    number: int
    job_id: str
    since: float


class Queue:
    """Works off the records' jobs in this process.

    `broken` is told of a fault of our own, after which a seat is lost and the server should end.
    """

    def __init__(
        self,
        records: JsonRecords,
        attempts: Attempts,
        *,
        offer: Offer,
        broken: Callable[[BaseException], None],
    ) -> None:
        self._records = records
        self._attempts = attempts
        self._offer = offer
        self._trial = attempts.trial
        self._broken = broken
        self._waiting: list[_Place] = []  # sorted
        self._turns: dict[str, int] = {}  # the last one of each owner
        self._number = 0
        self._tickets = asyncio.Semaphore(0)  # one for each job that waits
        self._progress: dict[str, float] = {}  # of what is running
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def busy(self) -> int:
        """Jobs that wait or run."""
        return len(self._waiting) + len(self._progress)

    async def load(self) -> Load:
        oldest = min((one.since for one in self._waiting), default=None)
        return Load(
            waiting=len(self._waiting),
            running=len(self._progress),
            oldest=None if oldest is None else max(0.0, time.monotonic() - oldest),
            seats=self._offer.seats,
            workers=(self._offer.told(),),
        )

    async def standing(self, record: Record) -> Standing:
        places = (at for at, one in enumerate(self._waiting) if one.job_id == record.id)
        return self._standing(record, next(places, None) if record.state == "processing" else None)

    async def page(
        self, owner: str, status: str | None, limit: int, offset: int
    ) -> tuple[list[tuple[Record, Standing]], int]:
        known = [
            record
            for record in reversed(self._records.all())
            if record.owner == owner and status in (None, self._status(record))
        ]
        shown = known[offset : offset + limit]
        # Once for the page: a search of the queue for each job would be the square of it.
        places = {one.job_id: at for at, one in enumerate(self._waiting)}
        return [(one, self._standing(one, places.get(one.id))) for one in shown], len(known)

    def start(self) -> None:
        """Take up what an earlier run of the server left, then serve."""
        for record in self._records.all():
            if record.state == "processing":
                self.put(record)
        self._tasks = [supervised(self._seat(), self._broken) for _ in range(self._offer.seats)]

    def put(self, record: Record) -> None:
        all_had = max(self._turns.values(), default=0) + 1
        serving = self._waiting[0].turn if self._waiting else all_had
        mine = turn(self._turns.get(record.owner, 0), serving)
        self._turns[record.owner] = mine
        self._number += 1
        place = _Place(mine, self._number, record.id, time.monotonic())
        bisect.insort(self._waiting, place)
        self._tickets.release()

    async def stop(self) -> None:
        """Abandon the running jobs: they stay `processing` on disk and are made again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _standing(self, record: Record, position: int | None) -> Standing:
        if record.id in self._progress:
            return Standing(progress=self._progress[record.id])
        return Standing(record.state == "processing", 0.0, position)

    def _status(self, record: Record) -> str:
        if record.state != "processing":
            return record.state
        return "running" if record.id in self._progress else "waiting"

    async def _seat(self) -> None:
        worker: Worker | None = None
        told: str | None = None  # of what keeps jobs from being done, while it lasts
        pace = self._attempts.pace
        try:
            while True:
                await self._trial.wait()
                try:
                    async with asyncio.timeout(pace.idle if worker else None):
                        await self._tickets.acquire()
                except TimeoutError:
                    await end(worker)
                    worker = None
                    continue
                job_id = self._waiting.pop(0).job_id
                self._progress[job_id] = 0.0
                try:
                    await self._attempts.room_for(job_id)
                    if worker is None or not worker.alive:
                        worker = await Worker.start(self._offer.placed)
                    disturbed = await self._work(worker, job_id)
                    told = told if disturbed else None
                except OSError as fault:  # the disk or the process table; not the job's fault
                    if (why := reason(fault)) != told:
                        self._attempts.report(f"{job_id} waits: {fault}")
                        told = why
                    disturbed = True
                    await asyncio.sleep(pace.pause)
                finally:
                    del self._progress[job_id]
                if disturbed and (record := await self._records.get(job_id)) is not None:
                    self.put(record)
                if self._trial.why is not None:
                    await end(worker)  # the libraries that it has loaded may be broken
                    worker = None
        finally:
            await end(worker)

    async def _work(self, worker: Worker, job_id: str) -> bool:
        record = await self._records.get(job_id)
        if record is None or record.state != "processing":
            return False
        if await asyncio.to_thread(self._records.lost, record):
            await self._records.remove(record)
            self._attempts.report(f"{job_id} {record.name!r} is forgotten: its folder was deleted")
            return False

        def progress(fraction: float) -> None:
            self._progress[job_id] = fraction

        return await self._attempts.make(worker, record, progress)
