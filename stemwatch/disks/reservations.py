"""Checks and reserves the disk space for a song's results before the song is paid for."""

from __future__ import annotations

import os
import threading
from collections.abc import Container, Iterator
from typing import NamedTuple

from stemwatch.codes import Code
from stemwatch.disks import durable, space
from stemwatch.errors import PauseService
from stemwatch.job import Job


class _Reserved(NamedTuple):
    """`size` bytes on the disk of `outbox`."""

    outbox: str
    size: int


class Reservations:
    """The bytes reserved for the songs under way, by job id. For use from any thread."""

    def __init__(self) -> None:
        self._reserved: dict[int, _Reserved] = {}
        # By inbox, the bytes needed by the last song that found too little space.
        self._wanted: dict[str | None, int] = {}
        # Uploads begin in threads: without the lock, two could both see the space for one.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._reserved)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._reserved))

    def reserve(self, job: Job) -> None:
        """Reserve the space for a paid song's results, without a check."""
        self._reserved[job.id] = _Reserved(job.outbox, _needed(job))

    def release(self, job_id: int) -> None:
        """Give the reservation back: the job's stems are delivered, or won't come."""
        self._reserved.pop(job_id, None)

    def require(self, job: Job) -> None:
        """Reserve the space for a song's results before it is paid for.

        Raises PauseService if the disk's free space, minus other jobs' reservations, is too small.
        """
        needed = _needed(job)
        durable.require_root(job.outbox)
        # A disk may hang, so it is asked before the lock is taken.
        free, apart = durable.free_bytes(job.outbox), self._apart(job.outbox)
        with self._lock:
            others = self._taken(apart, but=job.id)
            if free >= needed + others:
                self.reserve(job)
                return
        self._wanted[job.inbox] = needed  # without the others', which falls as they are delivered
        raise PauseService(
            f"{job.outbox} has {free >> 20} MB free, the stems of {job.name} and of what is "
            f"under way need {(needed + others) >> 20} MB.",
            code=Code.ROOM,
            hint="Free some space there; work goes on by itself.",
        )

    def is_there(self, inbox: str | None, outbox: str) -> bool:
        """Whether there is space now for this inbox's song that found too little before.

        Raises PauseService for a fault of the disk.
        """
        wanted = self._wanted.get(inbox, 0) + self._taken(self._apart(outbox))
        return durable.free_bytes(outbox) >= wanted

    def _taken(self, apart: Container[str], but: int | None = None) -> int:
        """Bytes reserved on a disk by all jobs but `but`; `apart` are outboxes on other disks."""
        reserved = list(self._reserved.items())
        return sum(one.size for id_, one in reserved if id_ != but and one.outbox not in apart)

    def _apart(self, outbox: str) -> set[str]:
        """The outboxes with reservations that are on other disks than `outbox`."""
        paths = {one.outbox for one in list(self._reserved.values())}
        return {path for path in paths if not _one_disk(path, outbox)}


def _needed(job: Job) -> int:
    """The most bytes that the job's stems and mixes can take."""
    return space.needed_bytes(job.duration or 0.0, job.options)


def _one_disk(one: str, two: str) -> bool:
    try:
        return one == two or os.stat(one).st_dev == os.stat(two).st_dev
    except OSError:
        return False  # one disk is away, so it is not the other
