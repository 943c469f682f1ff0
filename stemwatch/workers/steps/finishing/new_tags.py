"""A job's file under new tags: written or replaced by a tag editor, it is that job's file still."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

from stemwatch.inbox.examine import examine
from stemwatch.job import Identity, Job
from stemwatch.workers.context import Context


async def with_new_tags(ctx: Context, job: Job) -> Job:
    """The job with the file that is at its path now, if that is the same sound under new tags.

    A tag editor may have written or replaced it until this moment: it is this job's file all the
    same. Another song at this path is not.
    """
    same = ctx.place_of(job).same
    found = await asyncio.to_thread(_retagged, job, same)
    return job if found is None else await ctx.journal.amend(job, **found)


def _retagged(job: Job, same: Callable[[Identity, Identity], bool]) -> dict[str, Any] | None:
    if job.audio_sha256 is None:
        return None
    try:
        if same(Identity.of(os.lstat(job.path)), job.identity):
            return None
        found = examine(job.path, sys.maxsize, patient=False)
    except OSError:
        return None  # gone, or its disk is away: the step that files it finds out
    if found.audio_sha256 != job.audio_sha256:
        return None
    told = {"identity": found.identity, "sha256": found.sha256}
    return {**told, "updated_at": job.updated_at}  # of a quarantine, its reason file shows it
