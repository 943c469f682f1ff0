"""Is there room for one song more on the disk that it goes to, beside what is under way there?"""

from __future__ import annotations

import os
import threading
from collections.abc import Container

from stemwatch.codes import Code
from stemwatch.disks import durable, space
from stemwatch.errors import PauseService
from stemwatch.job import Job
from stemwatch.workers.context import Context, Reserved

# Uploads begin in threads: two that look before either has reserved would both see the room of one.
_LOCK = threading.Lock()


def reserve(ctx: Context, job: Job) -> None:
    """What is paid for has its room, whoever comes later."""
    ctx.reserved[job.id] = Reserved(job.outbox, _needed(job))


def require(ctx: Context, job: Job) -> None:
    """Results must have somewhere to go before anything is paid. Raises PauseService.

    The room is reserved in the same step, beside what others have reserved until then.
    """
    needed = _needed(job)
    durable.require_root(job.outbox)
    # A disk may hang: what asks one is done before the lock is taken.
    free, apart = durable.free_bytes(job.outbox), _apart(ctx, job.outbox)
    with _LOCK:
        others = _taken(ctx, apart, but=job.id)
        if free >= needed + others:
            reserve(ctx, job)
            return
    ctx.room_wanted[job.inbox] = needed  # the others' need falls as they are delivered
    raise PauseService(
        f"{job.outbox} has {free >> 20} MB free, the stems of {job.name} and of what is "
        f"under way need {(needed + others) >> 20} MB.",
        code=Code.ROOM,
        hint="Free some space there; work goes on by itself.",
    )


def is_there(ctx: Context, inbox: str | None, outbox: str) -> bool:
    """For the song of this inbox that found too little, beside what is still under way."""
    wanted = ctx.room_wanted.get(inbox, 0) + _taken(ctx, _apart(ctx, outbox))
    return durable.free_bytes(outbox) >= wanted


def _needed(job: Job) -> int:
    """Bytes of its stems and mixes, at most."""
    return space.needed_bytes(job.duration or 0.0, job.options)


def _taken(ctx: Context, apart: Container[str], but: int | None = None) -> int:
    """Bytes that are spoken for on a disk, whichever inbox they are for; `apart` are on others."""
    reserved = list(ctx.reserved.items())
    return sum(one.size for job_id, one in reserved if job_id != but and one.outbox not in apart)


def _apart(ctx: Context, outbox: str) -> set[str]:
    """The outboxes with reservations that are on other disks than `outbox`."""
    paths = {one.outbox for one in list(ctx.reserved.values())}
    return {path for path in paths if not _one_disk(path, outbox)}


def _one_disk(one: str, two: str) -> bool:
    try:
        return one == two or os.stat(one).st_dev == os.stat(two).st_dev
    except OSError:
        return False  # its disk is away: nothing of it is written here
