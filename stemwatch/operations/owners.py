"""The owners of jobs: the service, this `split`, or another `split`, running or interrupted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stemwatch.codes import Code, rule_of
from stemwatch.disks import lock
from stemwatch.errors import Reject, StemwatchError
from stemwatch.inbox.intake import Candidate
from stemwatch.inbox.taking.known_jobs import undecided
from stemwatch.job import (
    ACTIVE,
    IN_OUTBOX,
    Job,
    JobState,
    Options,
    content_key,
    options_at_hand,
    resume_state,
    resumed_fields,
)
from stemwatch.outbox import delivery, earlier, sidecar
from stemwatch.outbox.staged_stem_file import of_sidecar
from stemwatch.workers.context import Context


async def taken_up(context: Context, state_dir: str, candidate: Candidate) -> Job | None:
    """The job of an earlier `split` of the same file into the same folder, taken over; or None.

    The earlier run was interrupted, or has delivered all that is asked for now. Raises Reject where
    a person has to decide first, because the song may be paid for already.
    """
    journal, owner = context.journal, context.owner
    for job in reversed((await journal.at_paths([candidate.path])).get(candidate.path, [])):
        if not _is_same(job, candidate, local=context.local):
            continue
        if job.state in IN_OUTBOX:
            if await asyncio.to_thread(_has_all, job, _options(job, candidate)):
                return job
            continue  # delivered once more, from such of its stems as are there
        if job.owner is not None and lock.is_held(lock.of_owner(state_dir, job.owner)):
            continue  # another `split` works on it: this one waits for its stems
        if job.state is JobState.SUBMITTING or job.code == Code.SUBMISSION_UNCONFIRMED:
            raise Reject(
                "an earlier run was stopped just when it was submitted, so it may be paid for.",
                code=Code.SUBMISSION_UNCONFIRMED,
                hint=f"Decide with `stemwatch retry {job.id}`, then run this again.",
            )
        if job.state in ACTIVE:
            options = _options(job, candidate)
            return await journal.amend(job, owner=owner, not_before=0.0, options=options)
        if job.state is JobState.QUARANTINED:
            return await _once_more(context, job, candidate)
    return None


async def _once_more(context: Context, job: Job, candidate: Candidate) -> Job | None:
    """Try a quarantined job of this file again; None: the intake has to read the file again.

    The row is used again, or each run would leave another row in quarantine. Raises Reject where
    the content may be paid for already.
    """
    journal, again = context.journal, "run again"
    if job.code is not None and rule_of(job.code).lasting:
        return job  # the same bytes are still broken
    if job.duration is None:  # a limit refused it, and may have changed since
        await journal.advance(job, JobState.GONE, f"{again}: looked at again")
        return None
    if resume_state(job) is JobState.QUEUED:
        _, held = await journal.akin(job.path, job.content_key)
        if fault := undecided([other for other in held if other.id != job.id]):
            raise fault
    changes = {**resumed_fields(job), "owner": context.owner, "options": _options(job, candidate)}
    return await journal.advance(job, resume_state(job), again, **changes)


def _is_same(job: Job, candidate: Candidate, *, local: bool) -> bool:
    """Whether `job` has the same file, folder and options, and is separated at the same place."""
    try:
        status = os.lstat(candidate.path)
    except OSError:
        return False
    options = _options(job, candidate)
    if job.duration is None:  # refused at the intake, before the place of separation mattered
        wanted = (job.options.stems, job.options.format) == (options.stems, options.format)
    else:
        where = {"local": local, "at_hand": job.at_hand}
        wanted = job.content_key == content_key(job.content, options, **where)
    return (
        wanted
        and job.origin == "split"
        and job.outbox == candidate.outbox
        and job.relpath == candidate.relpath
        and (job.identity.size, job.identity.mtime_ns) == (status.st_size, status.st_mtime_ns)
    )


def _options(job: Job, candidate: Candidate) -> Options:
    """What is asked for now, as far as the file of `job` has it."""
    return options_at_hand(candidate.options) if job.at_hand else candidate.options


def _has_all(job: Job, options: Options) -> bool:
    """Whether the delivered folder is still there, unchanged, with every file of `options`.

    What was asked for and could not be made is not missed: each run would deliver once more.
    """
    if job.delivered_to is None:
        return False
    try:
        found = delivery.verify_folder(job.delivered_to)
        return earlier.has_all(job.delivered_to, found, _makeable(job, options, found))
    except StemwatchError:
        return False


def _makeable(job: Job, options: Options, found: Mapping[str, Any]) -> Options:
    """`options` without the mixes and the stem file that `job` could not make."""
    made = {stem.id for stem in sidecar.result_files(dict(found))}
    asked = job.options.mixes.items()
    mixes = {n: of for n, of in options.mixes.items() if n in made or (n, of) not in asked}
    stem_file = options.stem_file
    if stem_file == job.options.stem_file and of_sidecar(found) is None:
        stem_file = None
    return replace(options, mixes=mixes, stem_file=stem_file)


class Others:
    """Watches the owners of the songs that a `split` waits for: whether any of them still runs."""

    def __init__(self, context: Context, state_dir: str) -> None:
        self._context = context
        self._state_dir = state_dir
        self._dead_since: float | None = None

    def in_vain(self, awaited: Sequence[tuple[str | None, str]]) -> str:
        """Why none of the awaited songs will be delivered, and what helps; "" if one may be.

        `awaited` holds (owner, path) of each song.
        """
        now = self._context.clock()
        lives = (lock.is_held(lock.of_owner(self._state_dir, owner)) for owner, _ in awaited)
        if not awaited or any(lives):
            self._dead_since = None
            return ""
        since = self._dead_since = now if self._dead_since is None else self._dead_since
        if now - since < self._context.timing.restart:
            return ""  # a service may be restarting
        owner, path = awaited[0]
        told = f"{path} is the same song, and paid for already, but nobody works on it now."
        if owner is None:
            return f"{told} Start the service (`stemwatch run`), then run this again."
        return f"{told} Run the `split` that was interrupted, then this one again."
