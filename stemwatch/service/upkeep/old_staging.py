"""Clears an outbox of the staging that crashed jobs left, at the start of the service."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from stemwatch.disks import durable
from stemwatch.disks.patience import patiently
from stemwatch.disks.places import Place
from stemwatch.job import JobState
from stemwatch.outbox import staging
from stemwatch.workers.context import Context

_OF_JOB = re.compile(r"(\d{1,15})-")
_ENDED = frozenset({JobState.DONE, JobState.GONE})


async def clear(ctx: Context, place: Place) -> None:
    """Delete the outbox's stagings of jobs that have ended, and that the server has forgotten too.

    Younger ones may be in use by a service with another journal. One of a job that has not ended
    stays however old it is, or seems to be by a wrong clock: where the disk was full for weeks, its
    stems are nowhere else. Raises PauseService.
    """
    answers, outbox = place.demand_outbox, place.outbox
    old = await patiently(answers, _old, outbox, ctx.now() - ctx.timing.retention)
    ended = [token for token in old if await _has_ended(ctx, token)]
    await patiently(answers, staging.clean, outbox, ended)


def _old(outbox: str, before: float) -> list[str]:
    """The stagings in which nothing came or went after `before`, in Unix seconds."""
    staging.require(outbox)
    hidden, found = os.path.join(outbox, staging.HIDDEN), []
    with durable.disk_faults(hidden), suppress(FileNotFoundError):
        for token in sorted(os.listdir(hidden)):
            with suppress(FileNotFoundError):
                if os.lstat(os.path.join(hidden, token)).st_mtime <= before:
                    found.append(token)
    return found


async def _has_ended(ctx: Context, token: str) -> bool:
    """Whether no job of the journal can want this staging any more; a person may `retry` one."""
    number = _OF_JOB.match(token)
    job = None if number is None else await ctx.journal.get(int(number[1]))
    return job is None or job.state in _ENDED
