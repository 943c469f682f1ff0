"""Whose a song is: of the service, of this `split`, or of another one, living or interrupted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Sequence

from stemwatch import lock
from stemwatch.errors import Reject, StemwatchError
from stemwatch.inbox.intake import Candidate, resumed_fields
from stemwatch.job import ACTIVE, UNDER_WAY, Job, JobState, resume_state
from stemwatch.journal.journal import Journal
from stemwatch.outbox import delivery
from stemwatch.workers.context import Context

_ENDED = (JobState.DELIVERED, JobState.DONE)


def folder(state_dir: str) -> str:
    """Where every `split` keeps its lock."""
    return os.path.join(state_dir, "owners")


def lock_of(state_dir: str, owner: str | None) -> str:
    """The lock of a job's owner; None: the service's."""
    if owner is None:
        return os.path.join(state_dir, lock.SERVICE)
    return os.path.join(folder(state_dir), f"{owner}.lock")


async def taken_up(context: Context, state_dir: str, candidate: Candidate) -> Job | None:
    """The job of an earlier, interrupted or finished `split` of this very file into this folder."""
    journal, owner = context.journal, context.owner
    for job in reversed((await journal.at_paths([candidate.path])).get(candidate.path, [])):
        if not _is_same(job, candidate):
            continue
        if job.state in _ENDED and await asyncio.to_thread(_is_whole, job):
            return job
        if job.owner is not None and lock.is_held(lock_of(state_dir, job.owner)):
            continue  # another `split` is at it: ours waits for its stems
        if job.state is JobState.SUBMITTING or job.code == "submission_unconfirmed":
            raise Reject(
                "an earlier run was stopped just when it was submitted, so it may be paid for.",
                code="submission_unconfirmed",
                hint=f"Decide with `stemwatch retry {job.id}`, then run this again.",
            )
        if job.state in ACTIVE:
            return await journal.amend(job, owner=owner, not_before=0.0, options=candidate.options)
        if job.state is JobState.QUARANTINED and job.remote_id is not None:
            return await journal.advance(
                job, resume_state(job), "run again", owner=owner, **resumed_fields(job)
            )
    return None


def _is_same(job: Job, candidate: Candidate) -> bool:
    try:
        status = os.lstat(candidate.path)
    except OSError:
        return False
    return (
        job.origin == "split"
        and job.outbox == candidate.outbox
        and job.relpath == candidate.relpath
        and (job.options.stems, job.options.format)
        == (candidate.options.stems, candidate.options.format)
        and (job.identity.size, job.identity.mtime_ns) == (status.st_size, status.st_mtime_ns)
    )


def _is_whole(job: Job) -> bool:
    """Whether the delivered folder is still there, as it was delivered."""
    if job.delivered_to is None:
        return False
    try:
        delivery.verify_folder(job.delivered_to)
    except StemwatchError:
        return False
    return True


async def awaited(journal: Journal, ids: Collection[int]) -> list[Job]:
    """What the queued ones of these jobs wait for: the same contents, under way elsewhere.

    A queued one that no longer waits for anything stands for itself: it is about to be claimed.
    """
    found: list[Job] = []
    for job_id in ids:
        job = await journal.get(job_id)
        if job is not None and job.state is JobState.QUEUED:
            found += await journal.with_content(job.content_key, UNDER_WAY) or [job]
    return found


def in_vain(state_dir: str, awaited: Sequence[Job]) -> str:
    """Why none of these will come to its end, and what would help; "" if one of them may."""
    if any(lock.is_held(lock_of(state_dir, job.owner)) for job in awaited):
        return ""
    first = awaited[0]
    told = f"{first.path} is the same song, and paid for already, but nobody works on it now."
    if first.owner is None:
        return f"{told} Start the service (`stemwatch run`), then run this again."
    return f"{told} Run the `split` that was interrupted, then this one again."
