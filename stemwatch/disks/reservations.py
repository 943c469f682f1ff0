"""Checks and reserves disk space: for a song's results before it is paid for, for its upload."""

from __future__ import annotations

import os
import threading
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from stemwatch.codes import Code
from stemwatch.disks import durable, space
from stemwatch.errors import PauseService
from stemwatch.job import Job


class _Reserved(NamedTuple):
    """`size` bytes on the disk of `folder`."""

    folder: str
    size: int


class _Waiting(NamedTuple):
    """The song that an inbox's pause waits with, and what found too little space, for what."""

    job_id: int
    wanted: _Reserved
    purpose: str


class _Seen(NamedTuple):
    """What a disk had at the last look: free bytes, and those of them that nobody has reserved."""

    free: int
    spare: int


_UNSEEN = _Seen(0, 0)

_Key = tuple[str, int]  # what for, and the job's id
_STEMS, _UPLOAD = "stems", "upload"


class Reservations:
    """The bytes reserved for the songs under way. For use from any thread."""

    def __init__(self) -> None:
        self._reserved: dict[_Key, _Reserved] = {}
        self._waiting: dict[str | None, _Waiting] = {}  # by inbox
        self._seen: dict[str, _Seen] = {}  # by folder
        self._outdated: set[str] = set()  # folders: something was given back since the last look
        self._devices: dict[str, int | None] = {}  # st_dev of folders, as it was last seen
        # Uploads begin in threads: without the lock, two could both see the space for one.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._reserved)

    def __iter__(self) -> Iterator[int]:
        """The ids of the jobs that have reservations."""
        return iter({job_id for _, job_id in list(self._reserved)})

    def reserve(self, job: Job) -> None:
        """Reserve the space for a paid song's results, without a check."""
        self._reserved[_STEMS, job.id] = _Reserved(job.outbox, _needed(job))

    def know(self, devices: Mapping[str, int | None]) -> None:
        """Note on which disks (`st_dev`) these folders are, until a song sees it anew.

        None: its disk is away, so it is no other folder's.
        """
        self._devices.update(devices)

    def release(self, job_id: int) -> None:
        """Give the reservation back: the job's stems are delivered, or won't come."""
        with self._lock:  # a look that counts it still must not clear the mark
            if self._reserved.pop((_STEMS, job_id), None) is not None:
                self._outdated.update(self._seen)
        self.release_upload(job_id)

    def require_for_upload(self, job: Job, folder: str, size: int) -> None:
        """Reserve `size` bytes in `folder` for the form of a song that is to be uploaded.

        Raises PauseService if the disk's free space, minus all reservations, is too small.
        """
        self._require(job, _UPLOAD, _Reserved(folder, size), f"the upload of {job.name}")

    def release_upload(self, job_id: int) -> None:
        """The file has its size, or there is none: give back what was reserved for it."""
        self._reserved.pop((_UPLOAD, job_id), None)

    def require(self, job: Job) -> None:
        """Reserve the space for a song's results before it is paid for.

        Raises PauseService if the disk's free space, minus other jobs' reservations, is too small.
        """
        durable.require_root(job.outbox)
        wanted = _Reserved(job.outbox, _needed(job))
        self._require(job, _STEMS, wanted, f"the stems of {job.name}")

    def _require(self, job: Job, purpose: str, wanted: _Reserved, what: str) -> None:
        folder, needed = wanted
        key = purpose, job.id
        # A disk may hang, so it is asked before the lock is taken.
        free, apart = durable.free_bytes(folder), self._apart(folder)
        with self._lock:
            others = self._taken(apart, but=key)
            if free >= needed + others:
                self._reserved[key] = wanted
                self._look(folder, free, others + needed)
                return
            self._look(folder, free, others)
        raise PauseService(
            f"{folder} has {free >> 20} MB free, {what} and what is under way need "
            f"{(needed + others) >> 20} MB.",
            code=Code.ROOM,
            hint="Free some space there; work goes on by itself.",
        )

    def wait_with(self, job: Job) -> None:
        """The pause of its inbox waits until this song's stems have space."""
        self._waiting[job.inbox] = _Waiting(job.id, _Reserved(job.outbox, _needed(job)), _STEMS)

    def wait_with_upload(self, job: Job, folder: str, size: int) -> None:
        """The pause of its inbox waits until `size` bytes in `folder` are free for its upload."""
        self._waiting[job.inbox] = _Waiting(job.id, _Reserved(folder, size), _UPLOAD)

    def awaited(self, inbox: str | None) -> int | None:
        """The id of the job that this inbox's pause waits with; None: not known."""
        waiting = self._waiting.get(inbox)
        return None if waiting is None else waiting.job_id

    def is_there(self, inbox: str | None) -> bool:
        """Whether there is space now for this inbox's song that found too little before.

        Raises PauseService for a fault of the disk.
        """
        if (waiting := self._waiting.get(inbox)) is None:
            return True
        # Without the others' bytes of that time, which become fewer as they are delivered.
        folder, size = waiting.wanted
        free, apart = durable.free_bytes(folder), self._apart(folder)
        with self._lock:
            others = self._taken(apart)
            self._look(folder, free, others)
        return free >= size + others

    def passing(self, inbox: str | None) -> int:
        """The bytes that results may take of a song that passes by the one that waits.

        None passes by one that only what is under way leaves no space for: it is next. Nor by one
        whose upload has too little space, since on that disk is the journal.
        """
        waiting = self._waiting.get(inbox)
        if waiting is None or waiting.purpose == _UPLOAD:
            return 0
        free, spare = self._seen.get(waiting.wanted.folder, _UNSEEN)
        return 0 if free >= waiting.wanted.size else max(0, spare)

    def may_go_on(self, inbox: str | None) -> bool:
        """Whether the next look may let songs of this inbox go on.

        Space was given back since the last look. Or that look found enough, and the pause is about
        to end. Never for an upload: its song may begin that pause again at each of its tries.
        """
        waiting = self._waiting.get(inbox)
        if waiting is None or waiting.purpose == _UPLOAD:
            return False
        folder, size = waiting.wanted
        return folder in self._outdated or self._seen.get(folder, _UNSEEN).spare >= size

    def ended(self, inbox: str | None) -> None:
        """The pause of this inbox is over."""
        self._waiting.pop(inbox, None)

    def _look(self, folder: str, free: int, taken: int) -> None:
        self._seen[folder] = _Seen(free, free - taken)
        self._outdated.discard(folder)

    def _taken(self, apart: Container[str], but: _Key | None = None) -> int:
        """Bytes reserved on a disk by all but `but`; `apart` are folders on other disks."""
        reserved = list(self._reserved.items())
        return sum(one.size for key, one in reserved if key != but and one.folder not in apart)

    def _apart(self, folder: str) -> set[str]:
        """The folders with reservations that are known to be on other disks than `folder`.

        Only `folder` is looked at: the disk of another person's folder may hang.
        """
        here = self._devices[folder] = _device(folder)
        paths = {one.folder for one in list(self._reserved.values())}
        return {path for path in paths if self._devices.get(path, here) != here}


def _needed(job: Job) -> int:
    """The most bytes that the job's stems, mixes and stem file can take."""
    return space.results_bytes(job.options, job.duration, job.sample_rate, job.at_hand)


def _device(folder: str) -> int:
    with durable.disk_faults(folder):
        return os.stat(folder).st_dev
