"""Every job in some states, read a page at a time, so that memory stays small in an old journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from stemwatch.job import Job, JobState
from stemwatch.journal.journal import Journal


async def every(journal: Journal, states: Collection[JobState]) -> AsyncIterator[Job]:
    """Yield the jobs in `states`, oldest first. The caller may change each as it comes.

    Whoever reads `Journal.in_states` once has the first page only: songs behind it are missed.
    """
    after = 0
    while page := await journal.in_states(states, after=after):
        for job in page:
            yield job
        after = page[-1].id
