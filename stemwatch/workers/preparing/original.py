"""Opens a song's own file for its upload: the very one that was hashed, on a disk that may hang."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stemwatch.codes import Code
from stemwatch.disks.opening import NotYet, open_regular
from stemwatch.errors import RetryLater, TakenBack
from stemwatch.job import Identity, Job
from stemwatch.log import log
from stemwatch.tasks import in_a_thread
from stemwatch.workers.context import Context


@asynccontextmanager
async def opened(ctx: Context, job: Job) -> AsyncIterator[int]:
    """Yield a descriptor of the same file that was hashed, if the disk has room for its stems."""
    try:
        fd = await asyncio.to_thread(_open, ctx, job)
    except FileNotFoundError as fault:
        await ctx.place_of(job).require_inbox()
        raise TakenBack(f"{job.name} was taken back before it was submitted.") from fault
    except NotYet as fault:
        raise unreadable(ctx, job, fault) from fault
    try:
        yield fd
    finally:
        # Not waited for: on a share that hangs, `close` hangs as well.
        in_a_thread(os.close, fd, broken=_not_closed)


def _not_closed(fault: BaseException) -> None:
    log.warning("file.not_closed", message=str(fault))  # it was only read: nothing is lost


def _open(ctx: Context, job: Job) -> int:
    """Check the space, open the file and compare it: one trip to a thread before the upload."""
    ctx.space.require(job)
    fd = open_regular(job.path)
    try:
        if not ctx.place_of(job).same(Identity.of(os.fstat(fd)), job.identity):
            raise TakenBack(f"{job.name} was changed before it was submitted.")
    except BaseException:
        os.close(fd)
        raise
    return fd


def looks(fd: int, path: str) -> tuple[Identity, Identity | None]:
    """The identity of the open file, and of the file at `path` now (None: there is none)."""
    try:
        path_is = Identity.of(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        path_is = None
    return Identity.of(os.fstat(fd)), path_is


def unreadable(ctx: Context, job: Job, fault: OSError) -> RetryLater:
    permission = fault.errno in (errno.EACCES, errno.EPERM)
    return RetryLater(
        f"{job.name} can't be read: {fault.strerror}.",
        code=Code.UNREADABLE,
        hint="Give the service read permission for the file." if permission else "Check its disk.",
        after=ctx.timing.unreadable_gap if permission else ctx.timing.disk_recheck,
        counts=False,
    )
