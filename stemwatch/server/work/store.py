"""The store of jobs on disk: a directory for each job, so that a kill at any moment loses none.

    data_dir/
      lock   secret   webhooks.json
      uploads/                 presigned uploads that no job was made of yet (tickets.py)
      incoming/<job>/          an upload that is being received, or rubbish: emptied at start
      jobs/<job>/job.json      the record, replaced atomically
                 input.<ext>   until the job has ended
                 work-*/       what a worker is writing
                 stems/        whole, once the record says completed; gone when expired

A job exists from the moment its directory is renamed into `jobs/`, with everything in it synced.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import asdict, fields
from threading import Lock

from stemwatch.errors import AlreadyRunning
from stemwatch.server.work.record import Record

_JOB_ID = re.compile(r"job_[0-9a-f]{24}")


class Store:
    """Records in memory; each change is on disk before it is seen. It blocks: call in a thread."""

    def __init__(self, data_dir: str) -> None:
        """Open (or make) the directory and read every job.

        Raises AlreadyRunning when another server holds it, OSError when it can't be used.
        """
        self.root = os.path.abspath(data_dir)
        self._jobs = os.path.join(self.root, "jobs")
        self._incoming = os.path.join(self.root, "incoming")
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        self._lock = _lock(os.path.join(self.root, "lock"), self.root)
        shutil.rmtree(self._incoming, ignore_errors=True)
        os.makedirs(self._incoming, exist_ok=True)
        os.makedirs(self._jobs, exist_ok=True)
        self._records: dict[str, Record] = {}
        self._keys: dict[str, str] = {}
        self._ended = Lock()  # both webhooks and cleanup change a job that has ended
        for name in os.listdir(self._jobs):
            self._load(name)

    def close(self) -> None:
        os.close(self._lock)

    def get(self, job_id: str) -> Record | None:
        return self._records.get(job_id)

    def by_key(self, key: str | None) -> Record | None:
        """The job that was made under this idempotency key; None if there is none."""
        return None if key is None else self._records.get(self._keys.get(key, ""))

    def all(self) -> list[Record]:
        """Every job, oldest first."""
        return sorted(self._records.values(), key=lambda record: (record.created_at, record.id))

    def folder(self, job_id: str) -> str:
        return os.path.join(self._jobs, job_id)

    def input_path(self, record: Record) -> str:
        return os.path.join(self.folder(record.id), record.input)

    def stem_path(self, record: Record, name: str) -> str | None:
        """The path of a stem by its name in the URL; None for a name that `record` doesn't list."""
        if name not in record.files.values():
            return None
        return os.path.join(self.folder(record.id), "stems", name)

    def begin(self) -> tuple[str, str]:
        """A new job id and its empty directory among the incoming."""
        job_id = f"job_{secrets.token_hex(12)}"
        folder = os.path.join(self._incoming, job_id)
        os.mkdir(folder)
        return job_id, folder

    def discard(self, job_id: str) -> None:
        """Remove what an upload left in the incoming; a job that was committed is not touched."""
        shutil.rmtree(os.path.join(self._incoming, job_id), ignore_errors=True)

    def commit(self, record: Record) -> None:
        """Make the job exist; its input must be synced already. On OSError it does not exist."""
        incoming = os.path.join(self._incoming, record.id)
        _write_record(incoming, record)
        os.rename(incoming, self.folder(record.id))
        _sync_directory(self._jobs)
        self._remember(record)

    def save(self, record: Record) -> None:
        """Replace the record, durably."""
        _write_record(self.folder(record.id), record)
        self._remember(record)

    def work_folder(self, record: Record) -> str:
        """Make an empty directory for one attempt, and remove those of earlier attempts.

        Its name is new each time: a worker of a killed server may still write for an instant.
        """
        folder = self.folder(record.id)
        for name in os.listdir(folder):
            if name.startswith("work-") or name == "stems":
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        work = os.path.join(folder, f"work-{secrets.token_hex(4)}")
        os.mkdir(work)
        return work

    def complete(self, record: Record, work: str) -> None:
        """Publish the stems that the record lists, and no others; then delete the input."""
        folder = self.folder(record.id)
        for name in set(os.listdir(work)) - set(record.files.values()):
            _delete(os.path.join(work, name))
        for name in record.files.values():
            _sync_file(os.path.join(work, name))
        _sync_directory(work)
        os.rename(work, os.path.join(folder, "stems"))
        self.save(record)
        self._forget_input(record)

    def fail(self, record: Record) -> None:
        """Record a failure, and delete the input: nobody can ask for this job again."""
        self.save(record)
        self._forget_input(record)

    def told(self, job_id: str, target: str) -> None:
        """Note that the webhook `target` is done with this job: it was told, or given up."""
        with self._ended:
            if (record := self.get(job_id)) is not None:
                left = tuple(one for one in record.untold if one != target)
                self.save(record.evolve(untold=left))

    def expire(self, records: Iterable[Record]) -> None:
        """Delete the stems and free the idempotency key; the rest of the record is still shown."""
        for record in records:
            # The stems first: on a full disk the record can't be written until they are gone.
            shutil.rmtree(os.path.join(self.folder(record.id), "stems"), ignore_errors=True)
            with self._ended:
                if (now := self.get(record.id)) is not None:
                    self._forget_key(now)
                    self.save(now.evolve(state="expired", files={}, idempotency_key=None))

    def remove(self, records: Iterable[Record]) -> None:
        """Delete whole jobs: moved away first, so that a kill leaves no half of one."""
        for record in records:
            rubbish = os.path.join(self._incoming, f"{record.id}.removed")
            with self._ended:
                try:
                    os.rename(self.folder(record.id), rubbish)
                except FileNotFoundError:
                    pass  # another thread was quicker
                if (now := self._records.pop(record.id, None)) is not None:
                    self._forget_key(now)
            shutil.rmtree(rubbish, ignore_errors=True)

    def _remember(self, record: Record) -> None:
        self._records[record.id] = record
        if record.idempotency_key is not None:
            self._keys[record.idempotency_key] = record.id

    def _forget_key(self, record: Record) -> None:
        if record.idempotency_key is not None:
            self._keys.pop(record.idempotency_key, None)

    def _forget_input(self, record: Record) -> None:
        try:
            os.unlink(self.input_path(record))
        except FileNotFoundError:
            pass

    def _load(self, name: str) -> None:
        if not _JOB_ID.fullmatch(name):
            return
        try:
            with open(os.path.join(self._jobs, name, "job.json"), encoding="utf-8") as file:
                values = json.load(file)
            known = {one.name for one in fields(Record)}
            record = Record(**{key: values[key] for key in values if key in known})
            record = record.evolve(untold=tuple(record.untold))
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return  # not ours to judge: left where it is, and unknown to every client
        self._remember(record)


def _lock(path: str, root: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunning(
            f"Another separation server works in {root!r}.",
            hint="Stop it, or give this one another --data-dir.",
        ) from None
    return descriptor


def _write_record(folder: str, record: Record) -> None:
    path = os.path.join(folder, "job.json")
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(asdict(record), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.part", path)
    _sync_directory(folder)


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _sync_file(path: str) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
