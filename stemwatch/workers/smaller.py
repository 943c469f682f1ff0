"""A song that is too large for the API, in a smaller form that sounds the same to the last bit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from stemwatch.errors import PauseService
from stemwatch.job import Job
from stemwatch.log import log
from stemwatch.outbox import durable
from stemwatch.stemsplit.client import TooLarge, Upload
from stemwatch.workers.context import Context

_LOSSLESS = frozenset({"pcm_s16le", "pcm_s24le"})  # what FLAC holds as it is
_PREFIX = "upload-"


@asynccontextmanager
async def as_flac(ctx: Context, job: Job, fault: TooLarge) -> AsyncIterator[Upload]:
    """The WAV of `job` as FLAC, in the state directory for as long as this is open.

    Raises `fault` where that is impossible or of no use, PauseService for a full disk.
    """
    if job.codec not in _LOSSLESS:
        raise fault
    folder = os.path.dirname(ctx.journal.path)
    path = os.path.join(folder, f"{_PREFIX}{job.id}.flac")
    try:
        # A sum of one is that one: integer samples come out as they went in.
        await ctx.audio.mix([job.path], path, "flac")
        fd = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            if size > fault.limit:
                raise fault
            log.info("job.converted", name=job.name, bytes=size, instead_of=job.identity.size)
            yield Upload(fd=fd, size=size, filename=f"{os.path.splitext(job.name)[0]}.flac")
        finally:
            os.close(fd)
    except OSError as trouble:
        raise PauseService(
            f"{job.name} can't be converted in {folder}: {trouble.strerror}.",
            code="disk",
            hint="Free some space there; work goes on by itself.",
        ) from trouble
    finally:
        with suppress(OSError):
            os.unlink(path)


def clean(folder: str) -> None:
    """Remove what a kill left; before the first job is submitted."""
    with durable.disk_faults(folder):
        for name in os.listdir(folder):
            if name.startswith(_PREFIX) and name.endswith(".flac"):
                os.unlink(os.path.join(folder, name))
