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
    """Bytes of the disk that `outbox` is on."""

    outbox: str
    size: int


class Space:
    """What the songs under way are going to need, by job. Its calls may come from any thread."""

    def __init__(self) -> None:
        self._reserved: dict[int, _Reserved] = {}
        # Bytes that the song needs which found too little room, by inbox.
        self._wanted: dict[str | None, int] = {}
        # Uploads begin in threads: two that look before either has reserved would both see the
        # room of one.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._reserved)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._reserved))

    def reserve(self, job: Job) -> None:
        """What is paid for has its room, whoever comes later."""
        self._reserved[job.id] = _Reserved(job.outbox, _needed(job))

    def release(self, job_id: int) -> None:
        """The job needs its room no more: its stems are there, or are not going to come."""
        self._reserved.pop(job_id, None)

    def require(self, job: Job) -> None:
        """Results must have somewhere to go before anything is paid. Raises PauseService.

        The room is reserved in the same step, beside what others have reserved until then.
        """
        needed = _needed(job)
        durable.require_root(job.outbox)
        # A disk may hang: what asks one is done before the lock is taken.
        free, apart = durable.free_bytes(job.outbox), self._apart(job.outbox)
        with self._lock:
            others = self._taken(apart, but=job.id)
            if free >= needed + others:
                self.reserve(job)
                return
        self._wanted[job.inbox] = needed  # the others' need falls as they are delivered
        raise PauseService(
            f"{job.outbox} has {free >> 20} MB free, the stems of {job.name} and of what is "
            f"under way need {(needed + others) >> 20} MB.",
            code=Code.ROOM,
            hint="Free some space there; work goes on by itself.",
        )

    def is_there(self, inbox: str | None, outbox: str) -> bool:
        """For the song of this inbox that found too little, beside what is still under way."""
        wanted = self._wanted.get(inbox, 0) + self._taken(self._apart(outbox))
        return durable.free_bytes(outbox) >= wanted

    def _taken(self, apart: Container[str], but: int | None = None) -> int:
        """Bytes that are spoken for on a disk, for any inbox; `apart` are others'."""
        reserved = list(self._reserved.items())
        return sum(one.size for id_, one in reserved if id_ != but and one.outbox not in apart)

    def _apart(self, outbox: str) -> set[str]:
        """The outboxes with reservations that are on other disks than `outbox`."""
        paths = {one.outbox for one in list(self._reserved.values())}
        return {path for path in paths if not _one_disk(path, outbox)}


def _needed(job: Job) -> int:
    """Bytes of its stems and mixes, at most."""
    return space.needed_bytes(job.duration or 0.0, job.options)


def _one_disk(one: str, two: str) -> bool:
    try:
        return one == two or os.stat(one).st_dev == os.stat(two).st_dev
    except OSError:
        return False  # its disk is away: nothing of it is written here
