"""The records of one server: a JSON file for each job, so that a kill at any moment loses none.

    data_dir/
      lock
      jobs/<job>/job.json      the record, replaced atomically

A job exists from the moment its directory is renamed into `jobs/`, with everything in it synced.
"""

from __future__ import annotations

import asyncio
import os
from threading import Lock

from stemwatch.server.work.folder_lock import hold
from stemwatch.server.work.job_files import JOB_ID, NOTE, Files, sync_directory, write
from stemwatch.server.work.record import Record, dumps, loads
from stemwatch.server.work.records import NotEnough
from stemwatch.tasks import to_its_end


class JsonRecords:
    """All in memory; each change is on disk before it is seen."""

    def __init__(self, files: Files) -> None:
        """Take the data directory for this process, and read every job.

        Raises AlreadyRunning when another server holds it, OSError when it can't be used.
        """
        self.files = files
        self._lock = hold(files.root)
        files.open()
        self._records: dict[str, Record] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._adding = asyncio.Lock()
        self._ended = Lock()  # both webhooks and cleanup change a job that has ended
        for name in os.listdir(files.jobs):
            self._load(name)

    def close(self) -> None:
        os.close(self._lock)

    def lost(self, record: Record) -> bool:
        """Whether somebody deleted a job's folder, in a data directory that is there.

        Raises OSError where it isn't, or doesn't answer. It blocks.
        """
        lock = os.stat(os.path.join(self.files.root, "lock"))
        try:
            os.stat(self.files.folder(record.id))
        except FileNotFoundError:
            return os.path.samestat(lock, os.fstat(self._lock))  # else another disk is there
        return False

    def all(self) -> list[Record]:
        """Every job, oldest first."""
        return sorted(self._records.values(), key=lambda record: (record.created_at, record.id))

    async def get(self, job_id: str) -> Record | None:
        return self._records.get(job_id)

    async def by_key(self, key: str | None, owner: str = "") -> Record | None:
        return None if key is None else self._records.get(self._keys.get((owner, key), ""))

    async def add(self, record: Record, allowance: int | None = None) -> Record:
        async with self._adding:
            known = await self.by_key(record.idempotency_key, record.owner)
            if known is not None:
                return known
            if allowance is not None:
                left = max(0, allowance - await self.spent(record.owner))
                if record.credits > left:
                    raise NotEnough(left)
            await to_its_end(self._add, record)
        return record

    async def save(self, record: Record) -> None:
        await asyncio.to_thread(self._save, record)

    async def complete(self, record: Record, work: str) -> bool:
        await asyncio.to_thread(self._complete, record, work)
        return True

    async def fail(self, record: Record) -> bool:
        await asyncio.to_thread(self._end, record)
        return True

    async def told(self, job_id: str, target: str) -> None:
        """Note that the webhook `target` is done with this job: it was told, or given up."""
        await asyncio.to_thread(self._told, job_id, target)

    async def ended_before(self, moment: float) -> list[Record]:
        return [
            one for one in self.all() if one.finished_at is not None and one.finished_at < moment
        ]

    async def expire(self, record: Record) -> None:
        await asyncio.to_thread(self._expire, record)

    async def remove(self, record: Record) -> None:
        await asyncio.to_thread(self._remove, record)

    async def spent(self, owner: str) -> int:
        return sum(one.credits for one in self._records.values() if one.owner == owner)

    def _add(self, record: Record) -> None:
        _write_record(self.files.incoming(record.id), record)
        self.files.admit(record.id)
        self._remember(record)

    def _save(self, record: Record) -> None:
        _write_record(self.files.folder(record.id), record)
        self._remember(record)

    def _complete(self, record: Record, work: str) -> None:
        self.files.publish(record, work)
        self._end(record)

    def _end(self, record: Record) -> None:
        self._save(record)
        self.files.forget_input(record)

    def _told(self, job_id: str, target: str) -> None:
        with self._ended:
            if (record := self._records.get(job_id)) is not None:
                left = tuple(one for one in record.untold if one != target)
                self._save(record.evolve(untold=left))

    def _expire(self, record: Record) -> None:
        # The stems first: on a full disk the record can't be written until they are gone.
        self.files.forget_stems(record.id)
        with self._ended:
            if (now := self._records.get(record.id)) is not None:
                self._forget_key(now)
                self._save(now.evolve(state="expired", files={}, idempotency_key=None))

    def _remove(self, record: Record) -> None:
        with self._ended:
            self.files.set_aside(record.id)
            if (now := self._records.pop(record.id, None)) is not None:
                self._forget_key(now)
        self.files.discard(record.id)

    def _remember(self, record: Record) -> None:
        self._records[record.id] = record
        if record.idempotency_key is not None:
            self._keys[record.owner, record.idempotency_key] = record.id

    def _forget_key(self, record: Record) -> None:
        if record.idempotency_key is not None:
            self._keys.pop((record.owner, record.idempotency_key), None)

    def _load(self, name: str) -> None:
        if not JOB_ID.fullmatch(name):
            return
        try:
            with open(os.path.join(self.files.jobs, name, "job.json"), encoding="utf-8") as file:
                record = loads(file.read())
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return  # not ours to judge: left where it is, and unknown to every client
        self._remember(record)


def _write_record(folder: str, record: Record) -> None:
    write(os.path.join(folder, NOTE), dumps(record))
    sync_directory(folder)
