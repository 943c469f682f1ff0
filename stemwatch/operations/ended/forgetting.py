"""Removes entries from the quarantine's list, only where the file is certainly gone."""

from __future__ import annotations

import asyncio
import os

from stemwatch.config import Inbox, Settings
from stemwatch.job import Job, JobState
from stemwatch.journal.journal import Journal
from stemwatch.operations.mounted_folders import Disks
from stemwatch.operations.retrying import NotNow, Vanished, in_place, once_filed, whose
from stemwatch.outbox import quarantine


async def forget_lost(
    journal: Journal, job: Job, settings: Settings, disks: Disks, *, running: bool
) -> str | None:
    """Remove this quarantined job from the list if its file is gone; else return the file's path.

    Its history stays. Raises NotNow or PauseService where nobody can tell: a disk that is away
    proves nothing. Raises StaleJob, or what `quarantine.remove_reason` does.
    """
    job = await once_filed(journal, job, asyncio.sleep if running else None)
    if job.state is not JobState.QUARANTINED:
        raise NotNow(f"{job.name} is {job.state} by now.", hint="`stemwatch status` shows it.")
    path = await _where(job, whose(settings, job), disks)
    if path is None:
        await _forget(journal, job)
    return path


async def _forget(journal: Journal, job: Job) -> None:
    """End the job. The reason file goes first: a kill between the two leaves an entry to strike."""
    if job.filed_to and job.filed_to != job.path:
        await asyncio.to_thread(quarantine.remove_reason, job.filed_to)
    await journal.advance(job, JobState.GONE, "forgotten: its file is gone")


async def _where(job: Job, inbox: Inbox | None, disks: Disks) -> str | None:
    if job.origin == "split":
        return _still_there(job)  # its file never left its folder, which is no inbox
    if inbox is None:
        raise _unknown(job)
    await disks.require(inbox, inbox.folders.quarantine)
    if job.filed_to is None or job.filed_to == job.path:
        return _still_there(job)
    root = inbox.folders.inbox
    return await asyncio.to_thread(
        quarantine.find, job.filed_to, root, job.relpath, job.sha256 or None
    )


def _still_there(job: Job) -> str | None:
    try:
        return in_place(job)
    except Vanished:
        return None


def _unknown(job: Job) -> NotNow:
    return NotNow(
        f"{job.name}: its inbox {job.inbox or ''} is not in the configuration any more.",
        hint=f"Name it there again, so that {os.path.dirname(job.filed_to or job.path)} is known.",
    )
