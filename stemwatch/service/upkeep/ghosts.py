"""Ends entries of the quarantine whose file is gone, and removes reason files without a file.

A person deletes a file there, or moves it back into the inbox under another name or preset. Its
entry would offer a retry for ever. An entry that may be paid for stays: only it knows the stems.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from stemwatch.codes import Code
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService, RetryLater
from stemwatch.job import Identity, Job, JobState, may_be_paid, resume_state
from stemwatch.journal.every import every
from stemwatch.journal.journal import StaleJob
from stemwatch.log import log
from stemwatch.outbox import archiving, quarantine
from stemwatch.service.upkeep.held import Held
from stemwatch.workers.context import Context

_GONE = "Its file is gone."


class _Entry(NamedTuple):
    """What a look at its file needs of a job: a whole one takes 4 kB, and there may be thousands.

    `identity` is given only for a file that was filed where it had been.
    """

    id: int
    filed_to: str
    identity: Identity | None


async def strike(ctx: Context, inbox: str | None, held: Held) -> None:
    """Look through the quarantine of one inbox. Raises PauseService while its disks are away.

    `held` tells of folders that fail.
    """
    place = ctx.places[inbox]
    if place.quarantine is None or place.inbox is None:
        return
    await _require_disks(place)
    entries = [entry async for entry in _entries(ctx, inbox)]
    lost = await asyncio.to_thread(lambda: list(_lost(entries)))
    filed = {entry.filed_to for entry in entries}
    stale = await asyncio.to_thread(_stale, place.quarantine, held)
    await _require_disks(place)  # it may have gone meanwhile, and then nothing of this is true
    for entry, sole in lost:
        try:
            await _end(ctx, entry, sole=sole)
        except StaleJob:  # a person, or the inbox, was first
            pass
        except (PauseService, RetryLater) as fault:  # the other entries need not wait
            held.tell(os.path.dirname(entry.filed_to), fault)
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


async def _entries(ctx: Context, inbox: str | None) -> AsyncIterator[_Entry]:
    async for job in every(ctx.journal, (JobState.QUARANTINED,)):
        # One that is not moved yet is none; a `split` leaves files on disks we know nothing of.
        if job.filed_to is None or job.owner is not None or job.origin == "split":
            continue
        if job.inbox == inbox:
            at_home = job.filed_to == job.path
            yield _Entry(job.id, job.filed_to, job.identity if at_home else None)


def _lost(entries: Sequence[_Entry]) -> Iterator[tuple[_Entry, bool]]:
    """Each entry without a file, and whether it is the only one with this path."""
    newest = {entry.filed_to: entry.id for entry in entries}
    for entry in entries:
        sole = newest[entry.filed_to] == entry.id
        with suppress(PauseService, RetryLater, OSError):  # it can't be told: the entry stays
            if not sole or _is_gone(entry):
                yield entry, sole


def _is_gone(entry: _Entry) -> bool:
    """Whether the file is certainly not where it was filed. Raises OSError if nobody can tell."""
    if not entry.filed_to:
        return True  # it was gone already when it came to be filed
    try:
        found = os.lstat(entry.filed_to)
    except (FileNotFoundError, NotADirectoryError):
        return True
    # In the inbox, another song may have its name by now; in the quarantine, that is its owner's.
    was = entry.identity
    return was is not None and (found.st_size, found.st_mtime_ns) != (was.size, was.mtime_ns)


async def _end(ctx: Context, entry: _Entry, *, sole: bool) -> None:
    job = await ctx.journal.get(entry.id)
    if job is None or (job.state, job.filed_to) != (JobState.QUARANTINED, entry.filed_to):
        return  # a person, or the inbox, was first
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
