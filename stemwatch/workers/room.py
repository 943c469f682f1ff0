"""Is there room for one song more on the disk that it goes to, beside what is under way there?"""

from __future__ import annotations

import os

from stemwatch.errors import PauseService
from stemwatch.job import Job
from stemwatch.outbox import durable, space
from stemwatch.workers.context import Context, Reserved


def reserve(ctx: Context, job: Job) -> None:
    """What is paid for has its room, whoever comes later."""
    ctx.reserved[job.id] = Reserved(job.outbox, _needed(job))


def require(ctx: Context, job: Job) -> None:
    """Results must have somewhere to go before anything is paid. Raises PauseService."""
    needed = _needed(job)
    durable.require_root(job.outbox)
    others = _taken(ctx, job.outbox, but=job.id)
    free = durable.free_bytes(job.outbox)
    if free < needed + others:
        ctx.room_wanted[job.inbox] = needed  # the others' need falls as they are delivered
        raise PauseService(
            f"{job.outbox} has {free >> 20} MB free, the stems of {job.name} and of what is "
            f"under way need {(needed + others) >> 20} MB.",
            code="room",
            hint="Free some space there; work goes on by itself.",
        )
    reserve(ctx, job)


def is_there(ctx: Context, inbox: str | None, outbox: str) -> bool:
    """For the song of this inbox that found too little, beside what is still under way."""
    wanted = ctx.room_wanted.get(inbox, 0) + _taken(ctx, outbox)
    return durable.free_bytes(outbox) >= wanted


def _needed(job: Job) -> int:
    """Bytes of its stems and mixes, at most."""
    return space.needed_bytes(job.duration or 0.0, job.options)


def _taken(ctx: Context, outbox: str, but: int | None = None) -> int:
    """Bytes that are spoken for on the disk of `outbox`, whichever inbox they are for."""
    others = [one for job_id, one in list(ctx.reserved.items()) if job_id != but]
    here = {path: _one_disk(path, outbox) for path in {one.outbox for one in others}}
    return sum(one.size for one in others if here[one.outbox])


def _one_disk(one: str, two: str) -> bool:
    try:
        return one == two or os.stat(one).st_dev == os.stat(two).st_dev
    except OSError:
        return False  # its disk is away: nothing of it is written here
