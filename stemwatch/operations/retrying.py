"""Brings songs back from quarantine: first the file, then the journal; nothing is paid twice.

A kill between the two leaves the file in the inbox, where the intake takes it for a retry. A
service may be running meanwhile: whichever of the two is second finds that the job has moved on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from stemwatch.codes import Code
from stemwatch.config import Inbox, Settings
from stemwatch.disks import durable
from stemwatch.disks.nested_paths import is_below
from stemwatch.errors import Reject, StemwatchError
from stemwatch.job import (
    UNDER_WAY,
    WANTED_BACK,
    Identity,
    Job,
    JobState,
    Unfiled,
    resume_state,
    resumed_fields,
)
from stemwatch.journal.journal import AlreadyPaid, Journal, StaleJob
from stemwatch.operations.mounted_folders import Disks
from stemwatch.outbox import quarantine

_LOOKS = 25  # looks at a job that the service is moving into the quarantine
_PAUSE = 0.2  # seconds between two looks


class Vanished(StemwatchError):
    """The original is neither in quarantine nor in the inbox, so there is nothing to retry."""

    code = Code.GONE


class NotNow(StemwatchError):
    """Another process works on this job, or on its content; it can be retried a little later."""

    code = Code.NOT_NOW


class NotMoved(NotNow):
    """The original can't be moved into the quarantine, and a running service goes on trying.

    `job` is the job as it was seen last, with the reason.
    """

    def __init__(self, job: Job) -> None:
        why = job.unfiled or Unfiled("", "", "", 0)
        super().__init__(
            f"{job.name} can't be moved into the quarantine: {why.message}",
            hint=f"{why.hint} Then try again, or stop the service for it.",
        )
        self.job = job


@dataclass(frozen=True, slots=True)
class Retried:
    """The result of a retry: the job, where its file is now, and what happens next, in words."""

    job: Job
    path: str
    words: str


async def bring_back(
    journal: Journal,
    job: Job,
    inbox: Inbox,
    disks: Disks,
    *,
    running: bool,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Retried:
    """Put the file of this quarantined job back into `inbox`, and the job back to work.

    `running`: a service runs and may be moving the file right now. If it can't move the file, it is
    asked to put the job back to work itself. May be called again after a kill. Raises Vanished,
    NotNow, or what `disks.require` and `outbox.quarantine.restore` raise.
    """
    try:
        job = await once_filed(journal, job, sleep if running else None)
    except NotMoved as fault:
        job = await _asked_back(journal, fault.job, sleep)
        if job.state is JobState.QUARANTINED and job.filed_to is None:
            return Retried(job, job.path, "is noted, and goes on at the service's next look at it")
    if job.state is not JobState.QUARANTINED:
        return await _taken_up(journal, job, job.path)
    await _require_alone(journal, job)
    root = inbox.folders.inbox
    if job.origin != "split":
        left = job.filed_to and not is_below(job.filed_to, root)
        await disks.require(inbox, *([inbox.folders.quarantine] if left else []))
    try:
        return await _with_file(journal, job, root)
    except Vanished:
        if resume_state(job) is JobState.QUEUED:
            raise
        return await _without_file(journal, job)


async def _with_file(journal: Journal, job: Job, inbox: str) -> Retried:
    if job.origin == "split" or job.filed_to is None or is_below(job.filed_to, inbox):
        # It never left its folder.
        path, relpath = await asyncio.to_thread(in_place, job), job.relpath
    else:
        path = await _restored(job, job.filed_to, inbox)
        relpath = os.path.relpath(path, inbox)
    try:
        if not job.admitted:
            # It was refused before its length was known: the intake has to read it again. A running
            # service may have done so by now, and have moved the file back as another job.
            moved = await journal.advance(job, JobState.GONE, "retried: looked at again")
            return Retried(moved, path, "is looked at again")
        identity = Identity.of(await asyncio.to_thread(os.lstat, path))
        moved = await journal.advance(
            job,
            resume_state(job),
            "retried",
            **{**resumed_fields(job), "path": path, "relpath": relpath, "identity": identity},
        )
    except (StaleJob, FileNotFoundError):
        return await _taken_up(journal, job, path)
    except AlreadyPaid as fault:
        raise _under_way(job) from fault
    return Retried(moved, path, f"goes on as {moved.state}")


async def _without_file(journal: Journal, job: Job) -> Retried:
    """Put a paid job back to work without its original: fetching needs the remote id only."""
    try:
        moved = await journal.advance(job, resume_state(job), "retried", **resumed_fields(job))
    except StaleJob:
        return await _taken_up(journal, job, job.path)
    except AlreadyPaid as fault:
        raise _under_way(job) from fault
    return Retried(moved, job.path, f"goes on as {moved.state}, without its original")


def inbox_of(settings: Settings, job: Job) -> Inbox:
    """The inbox to which the job's file goes back.

    Raises NotNow if its inbox is no longer configured.
    """
    found = whose(settings, job)
    if found is None and job.origin == "split":
        found = settings.every_inbox[0]  # its file never left its own folder
    if found is None:
        raise NotNow(
            f"{job.name}: its inbox {job.inbox or ''} is not in the configuration any more.",
            hint=f"Move {job.filed_to or job.path} into another inbox; it goes on there.",
        )
    return found


def whose(settings: Settings, job: Job) -> Inbox | None:
    """The inbox of the job, found by its name, or by its outbox if it was renamed; or None."""
    return settings.inbox(job.inbox) or next(
        (one for one in settings.every_inbox if one.folders.outbox == job.outbox), None
    )


async def once_filed(
    journal: Journal, job: Job, sleep: Callable[[float], Awaitable[None]] | None
) -> Job:
    """Wait until the service has moved the job's file into the quarantine; returns the job.

    A retry during the move would lose the file. `sleep` None: no service runs, so there is nothing
    to wait for. Raises NotMoved, or NotNow if the move takes too long.
    """
    if sleep is None:
        return job
    for _ in range(_LOOKS):
        if job.filed_to is not None or job.unfiled is not None:
            break
        await sleep(_PAUSE)
        job = await journal.get(job.id) or job
    if job.filed_to is not None:
        return job
    if job.unfiled is not None:
        raise NotMoved(job)
    raise NotNow(
        f"{job.name} is still being moved into the quarantine.",
        hint="Try again in a moment; `stemwatch status` tells what it waits for.",
    )


async def _asked_back(journal: Journal, job: Job, sleep: Callable[[float], Awaitable[None]]) -> Job:
    """Ask the service to put the job back to work: only it knows if it is moving the file now.

    Returns the job as it is a few seconds later. The request is in the journal, so it outlives a
    restart of the service.
    """
    wish = Unfiled(WANTED_BACK, "`stemwatch retry` asked for it.", "Nothing to do.", 0)
    with suppress(StaleJob):  # the service moved the job on first
        await journal.amend(job, unfiled=wish, not_before=0.0, updated_at=job.updated_at)
    for _ in range(_LOOKS):
        job = await journal.get(job.id) or job
        if job.state is not JobState.QUARANTINED or job.filed_to is not None:
            break
        await sleep(_PAUSE)
    return job


async def _require_alone(journal: Journal, job: Job) -> None:
    if resume_state(job) is not JobState.QUEUED and await journal.with_content(
        job.content_key, UNDER_WAY
    ):
        raise _under_way(job)


def _under_way(job: Job) -> NotNow:
    return NotNow(
        f"{job.name}: the same content is being separated as another job.",
        hint="Retry it when that one is done; it is delivered from its stems then.",
    )


def in_place(job: Job) -> str:
    """The path of a file that was never moved, if it is still the same file.

    Raises Vanished, NotNow, or PauseService(code="disk") where its folder can't be read.
    """
    with durable.disk_faults(os.path.dirname(job.path)):
        try:
            found = Identity.of(os.lstat(job.path))
        except (FileNotFoundError, NotADirectoryError) as fault:
            if job.filed_to is None:
                raise NotNow(
                    f"{job.name}: the service was stopped while it moved this file.",
                    hint="Start it, so that it can finish; then retry.",
                ) from fault
            raise _vanished(job, job.path) from fault
    if (found.size, found.mtime_ns) != (job.identity.size, job.identity.mtime_ns):
        raise Vanished(
            f"{job.path} is another file now; the one in quarantine is no longer there.",
            hint="`stemwatch retry --forget` strikes it from the list; the new file is its own.",
        )
    return job.path


async def _restored(job: Job, filed_to: str, inbox: str) -> str:
    try:
        return await asyncio.to_thread(
            quarantine.restore, filed_to, inbox, job.relpath, job.sha256 or None
        )
    except Reject as fault:
        if fault.code != Code.NOT_IN_QUARANTINE:
            raise
        raise _vanished(job, filed_to) from fault


async def _taken_up(journal: Journal, job: Job, path: str) -> Retried:
    """The result if the running service saw the file first and retried the job itself."""
    now = await journal.get(job.id) or job
    if now.state is JobState.QUARANTINED:
        raise NotNow(f"{job.name} changed while it was retried.", hint="Try again.")
    return Retried(now, path, "was taken up by the service")


def _vanished(job: Job, path: str) -> Vanished:
    return Vanished(
        f"{job.name} is gone: {path} is no longer there.",
        hint=f"Put it back there, or strike it from the list: `stemwatch retry --forget {job.id}`.",
    )
