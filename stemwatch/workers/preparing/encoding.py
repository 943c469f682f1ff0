"""Makes a song's FLAC in the state folder: room first, one at a time, and nothing left behind."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from stemwatch.audio.preparing.plans import Plan
from stemwatch.codes import Code
from stemwatch.errors import PauseService, Reject, RetryLater
from stemwatch.job import Job
from stemwatch.workers.context import Context
from stemwatch.workers.one_ahead import Made
from stemwatch.workers.preparing import scratch
from stemwatch.workers.progress import PREPARING

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


async def make(ctx: Context, job: Job, chosen: Plan) -> Made:
    """Encode the song as it was chosen. The caller closes what it gets.

    Raises PauseService: no room (`room`, which names the disk), or an installation that can't
    encode (`audio_helper`). Raises Reject where this file can't be encoded, RetryLater where it
    can't be read. A cancel ends the encoder, and nothing remains.
    """
    folder = os.path.dirname(ctx.journal.path)
    # One at a time: the other helper stays free for songs that arrive and for stems.
    async with ctx.preparing.encoder:
        entry = ctx.progress.stage(job.id, job.name, PREPARING)
        try:
            await asyncio.to_thread(ctx.space.require_for_upload, job, folder, chosen.most)
            with _faults(job, folder), scratch.named(folder) as path:
                prepared = await ctx.audio.prepare(job.path, path, tell=ctx.progress.touch)
                if chosen.exact and not prepared.exact:
                    raise _not_exact(job)
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            ctx.space.release_upload(job.id)
            if ctx.progress.running.get(job.id) is entry:
                ctx.progress.end(job.id)
    return Made(fd, prepared.bytes, prepared.codec)


def _not_exact(job: Job) -> Reject:
    return Reject(
        f"{job.name} can't be made a FLAC of the very same samples.",
        code=Code.UNSUPPORTED,
        hint="Save it with 16 or 24 bits in an audio editor, and drop that.",
    )


@contextmanager
def _faults(job: Job, folder: str) -> Iterator[None]:
    """What an OSError means: the scratch file's disk is full, or the song's can't be read."""
    try:
        yield
    except OSError as fault:
        if fault.errno in _FULL:
            raise PauseService(
                f"{folder} has no room to prepare {job.name} for its upload: {fault.strerror}.",
                code=Code.ROOM,
                hint="Free some space there; work goes on by itself. Or set `prepare.upload: "
                "original`.",
            ) from fault
        raise RetryLater(
            f"{job.name} can't be prepared for its upload: {fault.strerror}.",
            code=Code.UNREADABLE,
            hint=f"Check its disk, and that of {folder}.",
            counts=False,
        ) from fault
