"""Ends entries of the quarantine whose file is gone, and removes reason files without a file.

A person deletes a file there, or moves it back into the inbox under another name or preset. Its
entry would offer a retry for ever. An entry that may be paid for stays: only it knows the stems.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress

from stemwatch.codes import Code
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService, RetryLater
from stemwatch.job import Job, JobState, may_be_paid, resume_state
from stemwatch.journal.journal import StaleJob
from stemwatch.log import log
from stemwatch.outbox import archiving, quarantine
from stemwatch.service.upkeep.held import Held
from stemwatch.workers.context import Context

_GONE = "Its file is gone."


async def strike(ctx: Context, inbox: str | None, held: Held) -> None:
    """Look through the quarantine of one inbox. Raises PauseService while its disks are away.

    `held` tells of folders that fail.
    """
    place = ctx.places[inbox]
    if place.quarantine is None or place.inbox is None:
        return
    await _require_disks(place)
    entries = [job async for job in _entries(ctx) if job.inbox == inbox]
    lost = await asyncio.to_thread(lambda: list(_lost(entries)))
    filed = {job.filed_to for job in entries if job.filed_to}
    stale = await asyncio.to_thread(_stale, place.quarantine, held)
    await _require_disks(place)  # it may have gone meanwhile, and then nothing of this is true
    for job, sole in lost:
        try:
            await _end(ctx, job, sole=sole)
        except StaleJob:  # a person, or the inbox, was first
            pass
        except (PauseService, RetryLater) as fault:  # the other entries need not wait
            held.tell(os.path.dirname(str(job.filed_to)), fault)
    for path in stale:
        if path not in filed:
            try:
                await asyncio.to_thread(quarantine.remove_stale_reason, path)
            except (PauseService, RetryLater) as fault:
                held.tell(os.path.dirname(path), fault)


def _stale(root: str, held: Held) -> list[str]:
    """The files whose reason file is stale, up to a folder that can't be read."""
    found: list[str] = []
    try:
        found.extend(quarantine.stale_reasons(root))  # keeps what came before the fault
    except (PauseService, RetryLater) as fault:  # the entries need not wait
        held.tell(root, fault)
    return found


async def _require_disks(place: Place) -> None:
    await place.require_inbox()
    await place.demand_results()


async def _entries(ctx: Context) -> AsyncIterator[Job]:
    after = 0
    while page := await ctx.journal.in_states((JobState.QUARANTINED,), after=after):
        for job in page:
            # One that is not moved yet is none; a `split` leaves files on disks we know nothing of.
            if job.filed_to is not None and job.owner is None and job.origin != "split":
                yield job
        after = page[-1].id


def _lost(entries: Sequence[Job]) -> Iterator[tuple[Job, bool]]:
    """Each entry without a file, and whether it is the only one with this path."""
    newest = {job.filed_to: job.id for job in entries}
    for job in entries:
        sole = newest[job.filed_to] == job.id
        with suppress(PauseService, RetryLater, OSError):  # it can't be told: the entry stays
            if not sole or _is_gone(job):
                yield job, sole


def _is_gone(job: Job) -> bool:
    """Whether the file is certainly not where it was filed. Raises OSError if nobody can tell."""
    if not job.filed_to:
        return True  # it was gone already when it came to be filed
    try:
        found = os.lstat(job.filed_to)
    except (FileNotFoundError, NotADirectoryError):
        return True
    # In the inbox, another song may have its name by now; in the quarantine, that is its owner's.
    stays = (found.st_size, found.st_mtime_ns) == (job.identity.size, job.identity.mtime_ns)
    return job.filed_to == job.path and not stays


async def _end(ctx: Context, job: Job, *, sole: bool) -> None:
    if may_be_paid(job):
        await _tell_paid(ctx, job)
        return
    if sole and job.filed_to and job.filed_to != job.path:
        await asyncio.to_thread(_clear, job, job.filed_to)
    await ctx.journal.advance(job, JobState.GONE, "its file is gone")
    log.info("job.struck", **job.named, id=job.id, reason="its file is gone, nothing was paid")


def _clear(job: Job, path: str) -> None:
    """Remove what a `discard --delete` that was killed left of the file, and its reason file."""
    archiving.finish_delete(path, job.identity, job.sha256)
    quarantine.remove_stale_reason(path)


async def _tell_paid(ctx: Context, job: Job) -> None:
    if (job.hint or "").startswith(_GONE):
        return
    if job.code == Code.SUBMISSION_UNCONFIRMED:
        todo = f"Look in your StemSplit dashboard; `stemwatch discard {job.id}` ends it."
    elif resume_state(job) is JobState.QUEUED:
        todo = f"It may be charged, but has no stems: `stemwatch discard {job.id}` ends it."
    else:
        todo = f"It is paid for: `stemwatch retry {job.id}` fetches it, `discard {job.id}` ends it."
    # `updated_at` stays the time of the quarantine.
    await ctx.journal.amend(job, hint=f"{_GONE} {todo}", updated_at=job.updated_at)
