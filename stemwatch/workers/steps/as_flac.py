"""Converts a WAV that is too large for the API to FLAC, which is smaller and lossless."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from stemwatch.codes import Code
from stemwatch.disks import durable
from stemwatch.errors import PauseService
from stemwatch.job import Job
from stemwatch.log import log
from stemwatch.stemsplit.interface import TooLarge, Upload
from stemwatch.workers.context import Context

_LOSSLESS = frozenset({"pcm_s16le", "pcm_s24le"})  # what FLAC holds as it is
_PREFIX = "upload-"


@asynccontextmanager
async def as_flac(ctx: Context, job: Job, fault: TooLarge) -> AsyncIterator[Upload]:
    """Yield the WAV of `job` as FLAC; the file is in the state directory until the block ends.

    Raises `fault` where the song is no such WAV or its FLAC is too large as well, PauseService
    where the disk is full.
    """
    if job.codec not in _LOSSLESS:
        raise fault
    path = os.path.join(os.path.dirname(ctx.journal.path), f"{_PREFIX}{job.id}.flac")
    try:
        upload = await _convert(ctx, job, path)
        try:
            if upload.size > fault.limit:
                raise fault
            instead_of = job.identity.size
            log.info("job.converted", **job.named, bytes=upload.size, instead_of=instead_of)
            # No `except` encloses the `yield`: an OSError after the paid call would be taken for a
            # full disk, and the song would be submitted, and paid for, again.
            yield upload
        finally:
            with suppress(OSError):  # it was only read; a fault here would hide the API's answer
                os.close(upload.fd)
    finally:
        with suppress(OSError):
            os.unlink(path)


async def _convert(ctx: Context, job: Job, path: str) -> Upload:
    """Write the FLAC to `path` and open it. Raises PauseService where the disk is full."""
    try:
        # A mix of a single input leaves its integer samples unchanged.
        await ctx.audio.mix([job.path], path, "flac")
        fd = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as trouble:
        raise PauseService(
            f"{job.name} can't be converted in {os.path.dirname(path)}: {trouble.strerror}.",
            code=Code.DISK,
            hint="Free some space there; work goes on by itself.",
        ) from trouble
    size = os.fstat(fd).st_size
    return Upload(fd=fd, size=size, filename=f"{os.path.splitext(job.name)[0]}.flac")


def clean(folder: str) -> None:
    """Remove the files that a killed run left in `folder`, before the first job is submitted."""
    with durable.disk_faults(folder):
        for name in os.listdir(folder):
            if name.startswith(_PREFIX) and name.endswith(".flac"):
                os.unlink(os.path.join(folder, name))
