"""A song that nobody wants any more: its original goes to the archive, its job ends.

The file first, then the journal. A kill between the two leaves a queued job whose file is gone,
which the service ends by itself, or a quarantined one that is put aside once more.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass

from stemwatch.config import Settings
from stemwatch.job import Identity, Job, JobState
from stemwatch.journal.journal import Journal, StaleJob
from stemwatch.operations.retrying import NotNow, once_filed, whose
from stemwatch.outbox import archiving, quarantine

_NOTE = "put aside"


@dataclass(frozen=True, slots=True)
class Aside:
    """The ended job, and where its original is now (None: it was nowhere any more)."""

    job: Job
    path: str | None


async def put_aside(journal: Journal, job: Job, settings: Settings, *, running: bool) -> Aside:
    """End a job that is queued or in quarantine.

    `running`: a service may be moving its file right now. Raises NotNow where it is submitted by
    now, or its original has no archive to go to; PauseService or RetryLater for the disks.
    """
    if job.state is JobState.QUARANTINED:
        job = await once_filed(journal, job, asyncio.sleep if running else None)
        return await _quarantined(journal, job, settings)
    if job.state is not JobState.QUEUED or job.owner is not None:
        raise _too_late(job)
    path = await _archived(job, job.path, job.identity, settings)
    try:
        return Aside(await journal.advance(job, JobState.GONE, _NOTE, filed_to=path), path)
    except StaleJob:
        now = await journal.get(job.id) or job
        if now.state is not JobState.GONE:  # else the service missed the file, and ended it
            raise _too_late(now) from None
        return Aside(now, path)


async def _quarantined(journal: Journal, job: Job, settings: Settings) -> Aside:
    path = job.filed_to
    if job.origin == "split" or not path or path == job.path:
        path = job.path  # it never left its folder, and stays there
    else:
        here = path
        try:
            identity = Identity.of(await asyncio.to_thread(os.lstat, here))
        except (FileNotFoundError, NotADirectoryError):
            identity = job.identity  # moved by a call that was killed, or by a person
        path = await _archived(job, here, identity, settings)
        await asyncio.to_thread(quarantine.remove_reason, here)
    try:
        return Aside(await journal.advance(job, JobState.GONE, _NOTE, filed_to=path), path)
    except StaleJob as fault:
        raise NotNow(f"{job.name} changed meanwhile.", hint="Look at it again.") from fault


async def _archived(job: Job, path: str, identity: Identity, settings: Settings) -> str | None:
    inbox = whose(settings, job)
    if inbox is None or inbox.folders.after_success != "archive":
        raise NotNow(
            f"{job.name} has no archive to go to.",
            hint=f"Move {path} away yourself; `folders.after_success: archive` gives it one.",
        )
    filed = await asyncio.to_thread(
        archiving.file_original,
        path,
        identity,
        how="archive",
        archive_root=inbox.folders.archive,
        relpath=job.relpath,
        sha256=job.sha256 or hashlib.sha256(os.fsencode(job.path)).hexdigest(),
    )
    if filed.outcome in ("kept", "changed"):
        raise NotNow(filed.message or f"{path} can't be moved.", hint="Move it away yourself.")
    return filed.path


def _too_late(job: Job) -> NotNow:
    return NotNow(
        f"{job.name} is {job.state} by now: it may be charged, and goes on.",
        hint="Its stems are delivered as usual.",
    )
