"""The queue of jobs, first come first served: some seats, each with a warm worker process."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from stemwatch.server.offer import Offer
from stemwatch.server.webhooks.outgoing import Callbacks
from stemwatch.server.work.process import TaskFailed, Worker, WorkerDied
from stemwatch.server.work.record import Record
from stemwatch.server.work.store import Store
from stemwatch.server.work.trial import Trial
from stemwatch.tasks import supervised

MAX_CRASHES = 2  # after a worker's death a job is tried once more; then the file is to blame
AGAIN = frozenset({"memory", "disk"})  # kinds of errors that may pass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that a worker may be silent, that it may be idle, and that a disturbed job waits."""

    silence: float = 900.0
    idle: float = 600.0
    pause: float = 1.0


class Queue:
    """Works off the store's jobs.

    `trial` tells a file's fault from the engine's, which fails no job. `room` waits until the disk
    has room for results. `callbacks` tell of each job's end. `report` gets a line for each outcome.
    `broken` is told of a fault of our own, after which a seat is lost and the server should end.
    """

    def __init__(
        self,
        store: Store,
        *,
        offer: Offer,
        trial: Trial,
        room: Callable[[], Awaitable[None]],
        callbacks: Callbacks,
        report: Callable[[str], None],
        broken: Callable[[BaseException], None],
        pace: Pace | None = None,
    ) -> None:
        self._store = store
        self._offer = offer
        self._trial = trial
        self._room = room
        self._callbacks = callbacks
        self._report = report
        self._broken = broken
        self._pace = pace or Pace()
        self._waiting: deque[str] = deque()
        self._tickets = asyncio.Semaphore(0)  # one for each job that waits
        self._progress: dict[str, float] = {}  # of what is running
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._progress)

    def runs(self, job_id: str) -> bool:
        return job_id in self._progress

    def progress(self, job_id: str) -> float:
        return self._progress.get(job_id, 0.0)

    def position(self, job_id: str) -> int | None:
        """How many jobs wait before this one; None if it doesn't wait (any more)."""
        return self._waiting.index(job_id) if job_id in self._waiting else None

    def start(self) -> None:
        """Take up what an earlier run of the server left, then serve."""
        for record in self._store.all():
            if record.state == "processing":
                self.put(record.id)
        self._tasks = [supervised(self._seat(), self._broken) for _ in range(self._offer.seats)]

    def put(self, job_id: str) -> None:
        self._waiting.append(job_id)
        self._tickets.release()

    async def stop(self) -> None:
        """Abandon the running jobs: they stay `processing` on disk and are made again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _seat(self) -> None:
        worker: Worker | None = None
        try:
            while True:
                await self._trial.wait()
                try:
                    async with asyncio.timeout(self._pace.idle if worker else None):
                        await self._tickets.acquire()
                except TimeoutError:
                    await _end(worker)  # gives its memory back to the machine
                    worker = None
                    continue
                job_id = self._waiting.popleft()
                self._progress[job_id] = 0.0
                try:
                    await self._room()
                    if worker is None or not worker.alive:
                        worker = await Worker.start(self._offer.placed)
                    disturbed = await self._work(worker, job_id)
                except OSError as fault:  # the disk or the process table; not the job's fault
                    self._report(f"{job_id} waits: {fault}")
                    disturbed = True
                    await asyncio.sleep(self._pace.pause)
                finally:
                    del self._progress[job_id]
                if disturbed:
                    self.put(job_id)
                if self._trial.why is not None:
                    await _end(worker)  # the libraries that it has loaded may be broken
                    worker = None
        finally:
            await _end(worker)

    async def _work(self, worker: Worker, job_id: str) -> bool:
        """Do one job. Returns True when it is to be tried again later."""
        record = self._store.get(job_id)
        if record is None or record.state != "processing":
            return False
        started = time.monotonic()
        if record.started_at is None:
            record = record.evolve(started_at=time.time())
            await asyncio.to_thread(self._store.save, record)
        try:
            record = await self._separate(worker, record)
        except WorkerDied as fault:
            return await self._crashed(record, f"The worker process died twice over it: {fault}.")
        except TaskFailed as fault:
            if fault.kind in AGAIN:
                await asyncio.sleep(self._pace.pause)
                return await self._crashed(record, str(fault))
            if fault.kind != "rejected" and not await self._trial.passes():
                return True
            await self._fail(record, str(fault))
            return False
        self._report(f"{record.id} {record.name!r} done in {time.monotonic() - started:.1f} s")
        return False

    async def _separate(self, worker: Worker, record: Record) -> Record:
        if (why := self._offer.refusal(record.stems)) is not None:  # taken by an earlier server
            raise TaskFailed("rejected", why)
        work = await asyncio.to_thread(self._store.work_folder, record)
        result = await worker.call(
            {
                "task": "separate",
                "source": self._store.input_path(record),
                "out_dir": work,
                "stems": record.stems,
                "format": record.format,
                "name": record.name,
            },
            silence=self._pace.silence,
            progress=lambda fraction: self._progress.__setitem__(record.id, fraction),
        )
        if record.only is not None:
            files = {stem: one for stem, one in result["files"].items() if stem == record.only}
            if not files:
                raise TaskFailed("failed", f"The engine gave no stem {record.only!r}.")
            result["files"] = files
        done = self._ended(record, state="completed", **self._offer.made_by(record.stems), **result)
        await asyncio.to_thread(self._store.complete, done, work)
        self._callbacks.put(done)
        return done

    async def _crashed(self, record: Record, message: str) -> bool:
        record = record.evolve(crashes=record.crashes + 1)
        if record.crashes >= MAX_CRASHES:
            if not await self._trial.passes():
                return True
            await self._fail(record, message)
            return False
        await asyncio.to_thread(self._store.save, record)
        self._report(f"{record.id} {record.name!r} is tried once more: {message}")
        return True

    async def _fail(self, record: Record, message: str) -> None:
        failed = self._ended(record, state="failed", error=message)
        await asyncio.to_thread(self._store.fail, failed)
        self._callbacks.put(failed)
        self._report(f"{record.id} {record.name!r} failed: {message}")

    def _ended(self, record: Record, **result: Any) -> Record:
        """The record of the job's end, with the webhooks to tell: one write holds both.

        So a kill after that write forgets no webhook.
        """
        ended = record.evolve(finished_at=time.time(), **result)
        return ended.evolve(untold=self._callbacks.due(ended))


async def _end(worker: Worker | None) -> None:
    if worker is not None:
        await worker.stop()
