"""One attempt at a job: separates it, and tells a file's fault from the engine's.

The same for a server that has its own queue and for a worker of a cluster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from stemwatch.server.offer import Offer
from stemwatch.server.work.job_files import Files
from stemwatch.server.work.process import TaskFailed, Worker, WorkerDied
from stemwatch.server.work.record import Record
from stemwatch.server.work.records import Records
from stemwatch.server.work.trial import Trial

MAX_CRASHES = 2  # after a worker's death a job is tried once more; then the file is to blame
AGAIN = frozenset({"memory", "disk"})  # kinds of errors that may pass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that a worker may be silent, that it may be idle, and that a disturbed job waits."""

    silence: float = 900.0
    idle: float = 600.0
    pause: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Makes attempts. `trial` tells a file's fault from the engine's, which fails no job.

    `owed` gives the webhooks to tell of a job's end, `tell` starts to. `report` gets a line for
    each outcome. Other attempts' work that lay `unused` seconds is removed.
    """

    files: Files
    records: Records
    offer: Offer
    trial: Trial
    report: Callable[[str], None]
    room: Callable[[int], Awaitable[None]]  # waits for room on the disk, for so many bytes
    owed: Callable[[Record], tuple[str, ...]] = lambda _: ()
    tell: Callable[[Record], None] = lambda _: None
    working: Callable[[str, str], None] = lambda *_: None  # told of a job's id and work folder
    pace: Pace = Pace()
    unused: float = 0.0

    async def room_for(self, job_id: str) -> None:
        """Wait until the disk has room for this job's stems."""
        if (record := await self.records.get(job_id)) is not None:
            await self.room(record.room())

    async def make(self, worker: Worker, record: Record, progress: Callable[[float], None]) -> bool:
        """Do one job. Returns True when it is to be tried again later."""
        started = time.monotonic()
        if record.started_at is None:
            record = record.evolve(started_at=time.time())
            await self.records.save(record)
        try:
            await self._separate(worker, record, progress)
        except WorkerDied as fault:
            return await self._crashed(record, f"The worker process died twice over it: {fault}.")
        except TaskFailed as fault:
            if fault.kind in AGAIN:
                return await self._crashed(record, str(fault))
            if fault.kind != "rejected" and not await self.trial.passes():
                return True
            await self.fail(record, str(fault))
            return False
        self.report(f"{record.id} {record.name!r} done in {time.monotonic() - started:.1f} s")
        return False

    async def _separate(
        self, worker: Worker, record: Record, progress: Callable[[float], None]
    ) -> None:
        if (why := self.offer.refusal(record.stems)) is not None:  # taken by an earlier server
            raise TaskFailed("rejected", why)
        work = await asyncio.to_thread(self.files.work_folder, record, unused=self.unused)
        self.working(record.id, work)
        task = {
            "task": "separate",
            "source": self.files.input_path(record),
            "out_dir": work,
            "stems": record.stems,
            "format": record.format,
            "name": record.name,
        }
        try:
            result = await worker.call(task, silence=self.pace.silence, progress=progress)
        except (WorkerDied, TaskFailed):
            # In a cluster another attempt may have ended the job: then nobody else would do it.
            await asyncio.to_thread(self.files.forget_work, work)
            raise
        if record.only is not None:
            files = {stem: one for stem, one in result["files"].items() if stem == record.only}
            if not files:
                raise TaskFailed("failed", f"The engine gave no stem {record.only!r}.")
            result["files"] = files
        done = self._ended(record, state="completed", **self.offer.made_by(record.stems), **result)
        if await self.records.complete(done, work):
            self.tell(done)

    async def _crashed(self, record: Record, message: str) -> bool:
        record = record.evolve(crashes=record.crashes + 1)
        if record.crashes >= MAX_CRASHES:
            if not await self.trial.passes():
                return True
            await self.fail(record, message)
            return False
        await self.records.save(record)
        self.report(f"{record.id} {record.name!r} is tried once more: {message}")
        return True

    async def fail(self, record: Record, message: str) -> None:
        """End a job that can't be done, and tell of it."""
        failed = self._ended(record, state="failed", error=message)
        if await self.records.fail(failed):
            self.tell(failed)
            self.report(f"{record.id} {record.name!r} failed: {message}")

    def _ended(self, record: Record, **result: Any) -> Record:
        """The record of the job's end, with the webhooks to tell: one write holds both.

        So a kill after that write forgets no webhook.
        """
        ended = record.evolve(finished_at=time.time(), **result)
        return ended.evolve(untold=self.owed(ended))


def reason(fault: Exception) -> str:
    """What keeps jobs waiting, in words that are the same for each of them."""
    return getattr(fault, "strerror", None) or str(fault)
