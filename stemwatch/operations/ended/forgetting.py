"""Removes entries from the quarantine's list, only where the file is certainly gone."""

from __future__ import annotations

import asyncio
import os

from stemwatch.config import Inbox, Settings
from stemwatch.disks import durable
from stemwatch.disks.places import Anchor, Place
from stemwatch.job import Job, JobState
from stemwatch.journal.journal import Journal
from stemwatch.operations.retrying import NotNow, Vanished, in_place, once_filed, whose
from stemwatch.outbox import quarantine


async def forget(journal: Journal, job: Job, note: str = "forgotten: its file is gone") -> None:
    """End a quarantined job whose file is gone, and remove its reason file. Its history stays.

    The reason file goes first: after a kill between the two, the entry is still there to be struck.
    Raises StaleJob, or what `quarantine.remove_reason` does.
    """
    if job.filed_to and job.filed_to != job.path:
        await asyncio.to_thread(quarantine.remove_reason, job.filed_to)
    await journal.advance(job, JobState.GONE, note)


async def forget_lost(
    journal: Journal, job: Job, settings: Settings, *, running: bool
) -> str | None:
    """Remove this quarantined job from the list if its file is gone; else return the file's path.

    Raises NotNow or PauseService where nobody can tell: a disk that is away proves nothing.
    """
    job = await once_filed(journal, job, asyncio.sleep if running else None)
    if job.state is not JobState.QUARANTINED:
        raise NotNow(f"{job.name} is {job.state} by now.", hint="`stemwatch status` shows it.")
    path = await _where(journal, job, whose(settings, job))
    if path is None:
        await forget(journal, job)
    return path


async def _where(journal: Journal, job: Job, inbox: Inbox | None) -> str | None:
    if job.origin == "split":
        return _still_there(job)  # its file never left its folder, which is no inbox
    if inbox is None:
        raise _unknown(job)
    await require_disks(journal, inbox)
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


async def require_disks(journal: Journal, inbox: Inbox) -> None:
    """Raise PauseService unless the disks of inbox and quarantine are mounted.

    A folder without its mount seems empty; the disks that the service noted show the difference.
    """
    folders = inbox.folders
    for path in (folders.quarantine, folders.inbox):
        durable.require_root(path)
    place = Place(
        outbox=folders.outbox,
        inbox=folders.inbox,
        quarantine=folders.quarantine,
        anchors={path: Anchor(path) for path in (folders.quarantine, folders.inbox)},
    )
    await place.recall(journal)
    await place.require_inbox()
    await place.demand_results()


def _unknown(job: Job) -> NotNow:
    return NotNow(
        f"{job.name}: its inbox {job.inbox or ''} is not in the configuration any more.",
        hint=f"Name it there again, so that {os.path.dirname(job.filed_to or job.path)} is known.",
    )
