"""`again`: a song that was delivered is separated anew, and paid anew; the earlier folder stays.

The journal first, then the file. The new job is held back for a while, until its file is in the
inbox. A kill before the file's move leaves a job without a file, which the service ends once the
hold is over; one behind it leaves a job that goes on then. Neither pays twice.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from stemwatch.config import Inbox, Settings
from stemwatch.disks import durable
from stemwatch.disks.nested_paths import is_below
from stemwatch.errors import Reject
from stemwatch.job import (
    ACTIVE,
    Identity,
    Job,
    JobState,
    Options,
    content_key,
    options_at_hand,
)
from stemwatch.journal.journal import AlreadyPaid, Journal, StaleJob
from stemwatch.operations.mounted_folders import Disks
from stemwatch.operations.retrying import NotNow, Retried, Vanished, whose
from stemwatch.outbox import quarantine

_HOLD = 300.0  # seconds for which the new job waits for its file: a large one is copied


@dataclass(frozen=True, slots=True)
class Anew:
    """A delivered job, its inbox, and what it is to become by today's configuration."""

    before: Job
    inbox: Inbox
    options: Options
    key: str

    @property
    def minutes(self) -> float:
        """Minutes of audio that are paid for anew."""
        return 0.0 if self.before.at_hand else (self.before.duration or 0.0) / 60.0


def planned(job: Job, settings: Settings) -> Anew:
    """What doing this delivered job again means. Raises NotNow where that can't be."""
    inbox = whose(settings, job)
    if job.origin == "split" or inbox is None:
        whole = "by `stemwatch split`" if job.origin == "split" else "for an inbox that is gone"
        raise NotNow(f"{job.name} was separated {whole}.", hint=_by_hand(job))
    if job.filed_to == "" or job.duration is None:
        raise NotNow(f"The original of {job.name} is not kept.", hint=_by_hand(job))
    options = inbox.options_for(job.relpath)
    options = options_at_hand(options) if job.at_hand else options
    where = {"local": settings.local, "at_hand": job.at_hand}
    return Anew(job, inbox, options, content_key(job.content, options, **where))


async def do_again(journal: Journal, plan: Anew, disks: Disks, now: float) -> Retried:
    """Put the original back into the inbox, with a job that is paid anew. May be repeated.

    `now` is in Unix seconds. Raises Vanished, NotNow, or what `disks.require` and
    `outbox.quarantine.restore` raise.
    """
    await _require_disks(plan, disks)
    job = await _held(journal, plan, now)
    if job is None:
        await _require_original(plan)
        job = await _journaled(journal, plan, now)
    path = await _in_the_inbox(plan)
    try:
        identity = Identity.of(await asyncio.to_thread(os.lstat, path))
        relpath = os.path.relpath(path, plan.inbox.folders.inbox)
        told = {"path": path, "relpath": relpath, "identity": identity}
        moved = await journal.amend(job, **told, not_before=0.0)
    except (StaleJob, FileNotFoundError) as fault:
        raise NotNow(f"{job.name} changed meanwhile.", hint="`stemwatch status` shows it.") from (
            fault
        )
    return Retried(moved, path, "is unpacked anew" if moved.at_hand else "is separated anew")


async def _require_disks(plan: Anew, disks: Disks) -> None:
    folders, filed_to = plan.inbox.folders, plan.before.filed_to
    archived = filed_to and is_below(filed_to, folders.archive)
    await disks.require(plan.inbox, *([folders.archive] if archived else []))


async def _held(journal: Journal, plan: Anew, now: float) -> Job | None:
    """The job of an earlier call that was killed; None: there is none. Raises NotNow."""
    found = await journal.with_content(plan.key, (*ACTIVE, JobState.QUARANTINED))
    for other in found:
        held = other.anew and other.state is JobState.QUEUED and other.not_before > now
        if held and other.owner is None and other.code is None:
            return other
    if not found:
        return None
    other = found[0]
    if other.state is JobState.QUARANTINED:
        raise NotNow(
            f"{plan.before.name}: the same content is in quarantine as {other.name}.",
            hint=f"Decide about that one first: `stemwatch retry {other.id}` or "
            f"`stemwatch discard {other.id}`.",
        )
    raise NotNow(
        f"{plan.before.name}: the same content is {other.state} as {other.name}.",
        hint="Nothing to do: it is delivered as usual.",
    )


async def _require_original(plan: Anew) -> None:
    """Raise Vanished or NotNow unless the original is where it was left, with its content."""
    job, path = plan.before, plan.before.filed_to or plan.before.path
    try:
        found = await asyncio.to_thread(durable.sha256_of, path)
    except (FileNotFoundError, NotADirectoryError) as fault:
        raise _vanished(job, path) from fault
    except OSError:
        with durable.disk_faults(path):
            raise
    if found[0] != job.sha256:
        raise NotNow(
            f"{path} is another song by now.",
            hint="Drop it into the inbox: another sound is a song of its own. The same sound under "
            "new tags gets the earlier stems.",
        )


async def _journaled(journal: Journal, plan: Anew, now: float) -> Job:
    before, folders = plan.before, plan.inbox.folders
    path = os.path.join(folders.inbox, before.relpath)
    job = Job(
        id=0,
        state=JobState.QUEUED,
        path=path,
        relpath=before.relpath,
        identity=before.identity,
        sha256=before.sha256,
        audio_sha256=before.audio_sha256,
        content_key=plan.key,
        options=plan.options,
        outbox=folders.outbox,
        inbox=plan.inbox.name,
        duration=before.duration,
        codec=before.codec,
        sample_rate=before.sample_rate,
        channels=before.channels,
        engine=before.engine if before.at_hand else None,
        anew=True,
        not_before=now + _HOLD,
    )
    try:
        return await journal.add(job, alone=True)
    except AlreadyPaid as fault:  # a second call, at the same moment
        raise NotNow(f"{before.name}: {fault.message}", hint="`stemwatch status` shows it.") from (
            fault
        )


async def _in_the_inbox(plan: Anew) -> str:
    """Move the original back into the inbox, unless it was kept there; returns its path."""
    job, root = plan.before, plan.inbox.folders.inbox
    if job.filed_to is None or job.filed_to == job.path:
        return job.path
    try:
        return await asyncio.to_thread(
            quarantine.restore, job.filed_to, root, job.relpath, job.sha256
        )
    except Reject as fault:
        raise _vanished(job, job.filed_to) from fault


def _vanished(job: Job, path: str) -> Vanished:
    return Vanished(f"The original of {job.name} is no longer at {path}.", hint=_by_hand(job))


def _by_hand(job: Job) -> str:
    folder = f"move {job.delivered_to} away and " if job.delivered_to else ""
    return f"To have it separated anew, {folder}drop the song into an inbox."
