"""delivered -> done, and quarantined files: moves the original out of the inbox, last of all."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

from stemwatch.codes import Code
from stemwatch.disks.places import Place
from stemwatch.errors import RetryLater
from stemwatch.job import TO_BE_FILED, Job, JobState
from stemwatch.log import log
from stemwatch.outbox import archiving, quarantine
from stemwatch.outbox.moving import Filed
from stemwatch.workers.context import Context
from stemwatch.workers.steps.finishing.new_tags import with_new_tags

# Errors of a share that is away. EIO means that on a share as well, but a bad sector on a disk.
_AWAY = frozenset({errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN})


async def file(ctx: Context, job: Job) -> Job:
    """Move the original to the archive or the quarantine; returns the job, `done` or quarantined.

    A job that another process has moved on meanwhile, such as `retry`, is returned as it is now.

    Raises PauseService where the disks can't take it, RetryLater for a fault of this one file,
    whose stems are delivered all the same.
    """
    job = await ctx.journal.get(job.id) or job
    if job.state not in TO_BE_FILED:
        return job
    job = await with_new_tags(ctx, job)
    if job.state is JobState.QUARANTINED:
        return await ctx.unbroken(_quarantine(ctx, job))
    return await ctx.unbroken(_finish(ctx, job))


async def _finish(ctx: Context, job: Job) -> Job:
    place = ctx.place_of(job)
    how = "keep" if job.origin == "split" else place.after_success
    filed = await asyncio.to_thread(
        archiving.file_original,
        job.path,
        job.identity,
        how=how,
        archive_root=place.archive,
        relpath=job.relpath,
        sha256=job.sha256,
    )
    await _require_inbox(ctx, place, filed)
    if filed.outcome == "kept" and filed.message is not None:
        raise _stays(job, filed.message)
    moved_to = filed.path if filed.outcome == "archived" else None
    # Else what comes to its path, or is there already, could pass for it, and for kept: on a share,
    # where inodes say nothing, a song of the same size and time would never be taken.
    if filed.outcome in ("deleted", "gone", "changed"):
        moved_to = ""
    told = {"filed_to": moved_to, "unfiled": None}
    done = await ctx.journal.advance(job, JobState.DONE, filed.outcome, **told)
    log.debug("job.done", **job.named, original=filed.outcome)
    return done


async def _quarantine(ctx: Context, job: Job) -> Job:
    place = ctx.place_of(job)
    if place.quarantine is None:
        return await ctx.journal.amend(job, filed_to=job.path)
    filed = await asyncio.to_thread(
        quarantine.quarantine,
        job.path,
        job.identity,
        root=place.quarantine,
        relpath=job.relpath,
        sha256=job.sha256 or None,
        reason=reason_of(job),
    )
    await _require_inbox(ctx, place, filed)
    if filed.outcome == "kept":
        log.warning("job.kept", **job.named, message=filed.message)
    # `filed_to` is the job's own path where the file stays, or another song has its name by now,
    # and "" where it is gone. Neither may look like a file that a person moved back.
    stays = "" if filed.outcome == "gone" else job.path
    # `updated_at` stays the time of the quarantine, which the reason file shows.
    told = {"filed_to": filed.path or stays, "unfiled": None, "updated_at": job.updated_at}
    return await ctx.journal.amend(job, **told)


def _stays(job: Job, why: str) -> RetryLater:
    folder = os.path.dirname(job.path)
    return RetryLater(
        why,
        code=Code.ORIGINAL_STAYS,
        hint=f"Give uid {os.geteuid()} write permission in {folder}, or move the file away "
        "yourself: its stems are delivered.",
        counts=False,
    )


def reason_of(job: Job) -> dict[str, Any]:
    """Why a job is in quarantine, with the keys of a reason file."""
    return {
        "code": job.code,
        "message": job.message,
        "hint": job.hint,
        "http_status": job.http_status,
        "attempts": job.attempts,
        "job_id": job.remote_id,
        "request_id": job.request_id,
        "first_seen": job.created_at,
        "quarantined_at": job.updated_at,
    }


async def _require_inbox(ctx: Context, place: Place, filed: Filed) -> None:
    """Raise PauseService or RetryLater where the file seems missing only because its disk is away.

    Nobody took back a file whose mount is gone, and a share that is away for a moment is no reason
    to leave the file where it is for good.
    """
    if filed.outcome == "gone":
        await place.require_inbox()
    if filed.errno in _AWAY or (filed.errno == errno.EIO and place.network):
        await place.require_inbox()
        message = filed.message or "the original can't be reached."
        after = ctx.timing.disk_recheck
        raise RetryLater(message, code=Code.UNREADABLE, after=after, counts=False)
