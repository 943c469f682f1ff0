"""The folders of jobs below a data directory, on this machine's disk or on one that many share.

    data_dir/
      secret                   signs URLs
      uploads/                 presigned uploads that no job was made of yet (tickets.py)
      incoming/[<instance>/]   uploads that are being received, and rubbish
      jobs/<job>/input.<ext>   until the job has ended
                 work-*/       what a worker is writing
                 stems/        whole; gone when expired

It blocks: call in a thread. Nothing in here says what state a job has: that is for `Records`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time

from stemwatch.server.work.record import Record

NOTE = "job.json"
JOB_ID = re.compile(r"job_[0-9a-f]{24}")


class Files:
    """`instance` names this process's own part of the incoming; None: it has all of it."""

    def __init__(self, data_dir: str, instance: str | None = None) -> None:
        self.root = os.path.abspath(data_dir)
        self.jobs = os.path.join(self.root, "jobs")
        self._incoming = os.path.join(self.root, "incoming", instance or "")
        os.makedirs(self.root, mode=0o700, exist_ok=True)

    def open(self) -> None:
        """Make the folders; empty our part of the incoming. Raises OSError."""
        shutil.rmtree(self._incoming, ignore_errors=True)
        os.makedirs(self._incoming, exist_ok=True)
        os.makedirs(self.jobs, exist_ok=True)

    def close(self) -> None:
        """Remove our part of the incoming: whoever sent something there is cut off."""
        shutil.rmtree(self._incoming, ignore_errors=True)

    def forget_instances(self, age: float) -> None:
        """Remove parts of the incoming in which nothing was written for `age` seconds.

        Ours is shown to be in use, to the others who do the same.
        """
        os.makedirs(self._incoming, exist_ok=True)
        os.utime(self._incoming)
        parts = os.path.dirname(self._incoming)
        for name in os.listdir(parts):
            part = os.path.join(parts, name)
            written = [_changed(os.path.join(part, one)) for one in _names(part)]
            if part != self._incoming and max([*written, _changed(part)]) < time.time() - age:
                shutil.rmtree(part, ignore_errors=True)

    def folder(self, job_id: str) -> str:
        return os.path.join(self.jobs, job_id)

    def incoming(self, job_id: str) -> str:
        """The directory of an upload that no job was made of yet."""
        return os.path.join(self._incoming, job_id)

    def input_path(self, record: Record) -> str:
        return os.path.join(self.folder(record.id), record.input)

    def stem_path(self, record: Record, name: str) -> str | None:
        """The path of a stem by its name in the URL; None for a name that `record` doesn't list."""
        if name not in record.files.values():
            return None
        return os.path.join(self.folder(record.id), "stems", name)

    def holds(self, stem: str) -> bool:
        """Whether there is a file at this path of a stem; OSError where the disk doesn't say."""
        try:
            os.stat(stem)
        except FileNotFoundError:
            os.stat(self.jobs)
            return False
        return True

    def begin(self) -> tuple[str, str]:
        """A new job id and its empty directory among the incoming."""
        job_id = f"job_{secrets.token_hex(12)}"
        folder = self.incoming(job_id)
        os.makedirs(folder)  # with our part of the incoming, should somebody have tidied it away
        return job_id, folder

    def discard(self, job_id: str) -> None:
        """Remove what an upload left in the incoming; a job that was admitted is not touched."""
        shutil.rmtree(self.incoming(job_id), ignore_errors=True)

    def admit(self, job_id: str) -> None:
        """Move an upload's directory to the jobs, durably; its files must be synced already."""
        sync_directory(self.incoming(job_id))
        os.rename(self.incoming(job_id), self.folder(job_id))
        sync_directory(self.jobs)

    def withdraw(self, job_id: str) -> None:
        """Take `admit` back, so far as it was done."""
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.folder(job_id), self.incoming(job_id))

    def work_folder(self, record: Record, *, unused: float = 0.0) -> str:
        """Make an empty directory for one attempt, and remove those of earlier attempts.

        Its name is new each time: a worker of a killed server may still write for an instant.
        `unused` is not 0 where another machine may be at the same job: then only what was left
        alone for so many seconds is removed, and never the stems.
        """
        folder = self.folder(record.id)
        oldest = time.time() - unused
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            # Stems of a job that has not ended are an attempt's that a kill cut off.
            mine = name.startswith("work-") or name == "stems"
            if mine and (not unused or (name != "stems" and _changed(path) < oldest)):
                shutil.rmtree(path, ignore_errors=True)
        work = os.path.join(folder, f"work-{secrets.token_hex(4)}")
        os.mkdir(work)
        return work

    def publish(self, record: Record, work: str, note: str | None = None) -> bool:
        """Make the stems that the record lists appear, and no others; the first attempt wins.

        Returns False, and removes `work`, where another attempt was quicker. `note` is kept beside
        the stems: who finds them, and no record of them, can tell what came of the job.
        """
        for name in set(os.listdir(work)) - set(record.files.values()):
            _delete(os.path.join(work, name))
        for name in record.files.values():
            _sync_file(os.path.join(work, name))
        if note is not None:
            write(os.path.join(work, NOTE), note)
        sync_directory(work)
        try:
            os.rename(work, self._stems(record.id))  # onto a folder that isn't empty, it fails
        except OSError:
            if not os.path.isdir(self._stems(record.id)):
                raise
            shutil.rmtree(work, ignore_errors=True)
            return False
        sync_directory(self.folder(record.id))
        return True

    def note(self, job_id: str) -> str | None:
        """What `publish` noted beside the stems; None if it didn't, or there are none."""
        try:
            with open(os.path.join(self._stems(job_id), NOTE), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def forget_work(self, work: str) -> None:
        shutil.rmtree(work, ignore_errors=True)

    def forget_input(self, record: Record) -> None:
        """Delete it if that can be done: its job has ended, which the disk must not undo."""
        with contextlib.suppress(OSError):
            os.unlink(self.input_path(record))

    def forget_stems(self, job_id: str) -> None:
        """Delete them, and what attempts that were cut off left."""
        folder = self.folder(job_id)
        for name in _names(folder):
            if name == "stems" or name.startswith("work-"):
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)

    def set_aside(self, job_id: str) -> None:
        """Move a whole job away, so that a kill leaves no half of one; then `discard` it.

        Raises OSError where it is still there, or nobody knows.
        """
        os.makedirs(self._incoming, exist_ok=True)
        try:
            os.rename(self.folder(job_id), self.incoming(job_id))
        except FileNotFoundError:  # somebody else was quicker, unless the disk is away
            if os.path.lexists(self.folder(job_id)) or not os.path.isdir(self.jobs):
                raise

    def free(self) -> int:
        """Bytes that are free."""
        return shutil.disk_usage(self.root).free

    def _stems(self, job_id: str) -> str:
        return os.path.join(self.folder(job_id), "stems")


def write(path: str, text: str) -> None:
    """Replace a file, durably once its directory is synced."""
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.part", path)


def sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _changed(folder: str) -> float:
    """The last change of a folder or of anything in it, in Unix seconds; 0 if it has gone."""
    try:
        return max(os.stat(one).st_mtime for one in (folder, *os.scandir(folder)))
    except OSError:
        return 0.0


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _sync_file(path: str) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
