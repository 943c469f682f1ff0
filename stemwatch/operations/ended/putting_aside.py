"""A song that nobody wants any more: its original is archived or deleted, its job ends.

The file first, then its reason, then the journal. A kill in between leaves a queued job whose file
is gone, which the service ends by itself, or a quarantined one that is put aside once more.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass

from stemwatch.codes import Code
from stemwatch.config import Settings
from stemwatch.disks.nested_paths import is_below
from stemwatch.job import Identity, Job, JobState, may_be_paid, resume_state
from stemwatch.journal.journal import Journal, StaleJob
from stemwatch.operations.mounted_folders import Disks
from stemwatch.operations.retrying import NotNow, Vanished, in_place, once_filed, whose
from stemwatch.outbox import archiving, quarantine

_NOTE = "put aside"


@dataclass(frozen=True, slots=True)
class Aside:
    """The ended job, and where its original is now (None: deleted, or it was gone already)."""

    job: Job
    path: str | None


def given_up(job: Job) -> str | None:
    """What ends with this quarantined job although it may be paid for, as a sentence; or None."""
    if not may_be_paid(job):
        return None
    if job.code == Code.SUBMISSION_UNCONFIRMED:
        return "it may have been charged: your StemSplit dashboard tells whether it was."
    if resume_state(job) is JobState.QUEUED:
        return "it was charged, although no stems came of it."
    return (
        f"its stems are paid for, and are given up with it: `stemwatch retry {job.id}` fetches "
        "them instead."
    )


async def put_aside(
    journal: Journal,
    job: Job,
    settings: Settings,
    disks: Disks,
    *,
    running: bool,
    delete: bool = False,
) -> Aside:
    """End a job that is queued or in quarantine; its original is archived, or deleted.

    `running`: a service may be moving its file right now. Raises NotNow where it is submitted by
    now, or its original has no archive to go to; PauseService or RetryLater for the disks.
    """
    was = job.state
    if was is JobState.QUARANTINED:
        job = await once_filed(journal, job, asyncio.sleep if running else None)
    await _require_disks(disks, job, settings, delete=delete)
    job = await journal.get(job.id) or job  # a slow disk takes a minute: it may be submitted by now
    if job.state is JobState.GONE:
        return Aside(job, None)
    if job.state is not was:
        raise _too_late(job)
    if was is JobState.QUARANTINED:
        return await _quarantined(journal, job, settings, disks, delete=delete)
    if was is not JobState.QUEUED or job.owner is not None:
        raise _too_late(job)
    path = await _filed(job, job.path, job.identity, settings, delete=delete)
    try:
        return Aside(await journal.advance(job, JobState.GONE, _NOTE, filed_to=path or ""), path)
    except StaleJob:
        now = await journal.get(job.id) or job
        if now.state is not JobState.GONE:  # else the service missed the file, and ended it
            raise _too_late(now) from None
        return Aside(now, path)


async def _quarantined(
    journal: Journal, job: Job, settings: Settings, disks: Disks, *, delete: bool
) -> Aside:
    path = job.filed_to
    if job.origin == "split":
        path = job.path  # in a folder of the user's own, where it stays
    elif not path or path == job.path:
        path = await _left_in_the_inbox(job, settings, delete=delete)
    else:
        here = path
        try:
            identity = Identity.of(await asyncio.to_thread(os.lstat, here))
        except (FileNotFoundError, NotADirectoryError):
            identity = job.identity  # moved by a call that was killed, or by a person
            if (inbox := whose(settings, job)) is not None:
                await disks.require(inbox)  # back in the inbox, perhaps
        path = await _filed(job, here, identity, settings, delete=delete)
        await asyncio.to_thread(quarantine.remove_reason, here)
    try:
        return Aside(await journal.advance(job, JobState.GONE, _NOTE, filed_to=path or ""), path)
    except StaleJob as fault:
        now = await journal.get(job.id) or job
        if now.state is JobState.GONE:  # the service missed the file, and struck it off the list
            return Aside(now, path)
        raise NotNow(f"{job.name} changed meanwhile.", hint="Look at it again.") from fault


async def _require_disks(disks: Disks, job: Job, settings: Settings, *, delete: bool) -> None:
    """Raise PauseService unless the disks are there that its file is on and goes to.

    A file in quarantine is put aside without its inbox, whose share may be away for good.
    """
    inbox = whose(settings, job)
    if job.origin == "split" or inbox is None:
        return  # nobody knows its disk
    folders = inbox.folders
    away = job.filed_to if job.filed_to != job.path else None
    paths = [folders.quarantine] if away else []
    if folders.after_success == "archive" and not delete:
        paths.append(folders.archive)
    if away and not is_below(away, folders.inbox):
        await disks.require_alone(inbox, *paths)
    else:
        await disks.require(inbox, *paths)


async def _left_in_the_inbox(job: Job, settings: Settings, *, delete: bool) -> str | None:
    """File an original that never reached the quarantine; left there, it would be taken in again.

    Returns None where it is gone, or another song has its name by now.
    """
    try:
        here = await asyncio.to_thread(in_place, job)
    except Vanished:
        return None
    identity = Identity.of(await asyncio.to_thread(os.lstat, here))
    return await _filed(job, here, identity, settings, delete=delete)


async def _filed(
    job: Job, path: str, identity: Identity, settings: Settings, *, delete: bool
) -> str | None:
    inbox = whose(settings, job)
    if not delete and (inbox is None or inbox.folders.after_success != "archive"):
        raise NotNow(f"{job.name} has no archive to go to.", hint=_by_hand(job, path))
    filed = await asyncio.to_thread(
        archiving.file_original,
        path,
        identity,
        how="delete" if delete else "archive",
        archive_root=inbox.folders.archive if inbox is not None else None,
        relpath=job.relpath,
        sha256=job.sha256 or hashlib.sha256(os.fsencode(job.path)).hexdigest(),
    )
    if filed.outcome in ("kept", "changed"):
        raise NotNow(filed.message or f"{path} can't be moved.", hint="Move it away yourself.")
    return filed.path


def _by_hand(job: Job, path: str) -> str:
    if job.state is JobState.QUEUED:  # `discard` is for songs in quarantine
        way = f"Move {path} out of the inbox before it is submitted: then it costs nothing."
    else:
        way = f"Move {path} away yourself, or `stemwatch discard --delete {job.id}`."
    return f"{way} `folders.after_success: archive` gives such songs an archive."


def _too_late(job: Job) -> NotNow:
    if job.state is JobState.QUARANTINED:
        return NotNow(f"{job.name} is in quarantine by now.", hint="Decide about it there.")
    return NotNow(
        f"{job.name} is {job.state} by now: it may be charged, and goes on.",
        hint="Its stems are delivered as usual.",
    )
