"""Deletes archived originals that are older than `folders.keep_archive_days`, and nothing else.

A file goes only if the journal filed it there, its delivery is `done`, and it is still what was
filed: size, time and content. What a person put there or changed stays.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from contextlib import closing, suppress

from stemwatch.disks import durable
from stemwatch.disks.nested_paths import is_at_or_below
from stemwatch.errors import JournalFault, PauseService, RetryLater
from stemwatch.job import Identity, Job
from stemwatch.journal.journal import StaleJob
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.log import log
from stemwatch.outbox import archiving
from stemwatch.service.upkeep.held import Held
from stemwatch.service.upkeep.steady_clock import DAY
from stemwatch.workers.context import Context

Days = Callable[[str | None], float | None]  # of an inbox: how long its originals are kept
_GRAIN = 2_000_000_000  # nanoseconds: the coarsest time of a file system, FAT's


async def delete_old(
    ctx: Context, inbox: str | None, days: float, *, now: float, held: Held
) -> None:
    """Delete the originals of one inbox's archive that were filed more than `days` before `now`.

    A file whose folder fails stays, and `held` tells of it. Raises PauseService while the archive's
    disk is away.
    """
    place = ctx.places[inbox]
    if (root := place.archive) is None:
        return
    await place.demand_results()
    try:
        reading = ReadOnlyJournal(ctx.journal.path)
    except JournalFault as fault:
        # Too many open files, for a moment. Its own connections tell whether the journal is well.
        held.tell(os.path.dirname(ctx.journal.path), fault)
        return
    before, after = now - days * DAY, (0.0, 0)
    with closing(reading):
        while page := await reading.archived(before=before, after=after):
            after = page[-1].updated_at, page[-1].id
            for job in page:
                if await reading.filed_again(job, since=before):
                    continue  # `again` brought it back there later
                try:
                    if await asyncio.to_thread(_deleted, job, root):
                        await _note(ctx, job, days)
                except StaleJob:  # a person was first
                    pass
                except (PauseService, RetryLater) as fault:  # the other folders need not wait
                    held.tell(os.path.dirname(str(job.filed_to)), fault)


async def _note(ctx: Context, job: Job, days: float) -> None:
    log.info("archive.deleted", **job.named, id=job.id, path=job.filed_to, days=days)
    # As for an original that was deleted at once; `updated_at` stays the time of its filing.
    await ctx.journal.amend(job, filed_to="", updated_at=job.updated_at)


def _deleted(job: Job, root: str) -> bool:
    """Delete the original of `job` below `root`; False where it is no longer what was filed.

    Raises as `durable.disk_faults` does.
    """
    path = str(job.filed_to)
    folder = os.path.realpath(os.path.dirname(path))
    if not is_at_or_below(folder, os.path.realpath(root)):
        return False  # of another inbox's archive, or one that was configured before
    with durable.disk_faults(path):  # a bare OSError would end the service, at every start
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return archiving.finish_delete(path, job.identity, job.sha256)
    same = found.st_size == job.identity.size
    same &= abs(found.st_mtime_ns - job.identity.mtime_ns) < _GRAIN
    if not stat.S_ISREG(found.st_mode) or not same:
        return False
    with durable.disk_faults(path):
        if durable.sha256_of(path)[0] != job.sha256:
            return False
    now = Identity.of(found)
    filed = archiving.file_original(
        path, now, how="delete", archive_root=None, relpath=job.relpath, sha256=job.sha256
    )
    if filed.outcome != "deleted":
        return False
    _remove_empty(os.path.dirname(path), root)
    return True


def _remove_empty(folder: str, root: str) -> None:
    """Remove `folder` and those above it that are empty now; never `root`."""
    with suppress(OSError):  # not empty
        while os.path.realpath(folder) != os.path.realpath(root):
            os.rmdir(folder)
            folder = os.path.dirname(folder)
