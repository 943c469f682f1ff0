"""`first`: the named songs that wait go before all others, in the order in which they are named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from stemwatch.config import Settings
from stemwatch.disks.doorbell import ring
from stemwatch.job import Job, JobState
from stemwatch.journal.every import every
from stemwatch.journal.journal import Journal
from stemwatch.operations.named_songs import chosen, nearest


@dataclass(slots=True)
class Found:
    """What the names mean: `songs` in order, `several` by an ambiguous name, `unknown` with why."""

    songs: dict[int, Job] = field(default_factory=dict)
    several: dict[str, list[Job]] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)


async def look_up(journal: Journal, names: Sequence[str], cwd: str) -> Found:
    """The waiting songs of the service that `names` mean: ids, names or paths."""
    waiting = await _waiting(journal)
    found = Found()
    for name in names:
        match chosen(waiting, name, cwd):
            case [job]:
                found.songs[job.id] = job
            case []:
                found.unknown[name] = await _why_not(journal, waiting, name)
            case several:
                found.several[name] = several
    return found


async def put_first(journal: Journal, settings: Settings, jobs: Sequence[Job]) -> list[Job]:
    """Have `jobs` go first; returns those that do, without what was submitted meanwhile."""
    late = await journal.put_first([job.id for job in jobs])
    ring(settings.state_dir)
    return [job for job in jobs if job.id not in late]


async def _waiting(journal: Journal) -> list[Job]:
    return [job async for job in every(journal, (JobState.QUEUED,)) if job.owner is None]


async def _why_not(journal: Journal, waiting: Sequence[Job], name: str) -> str:
    if name.isdecimal() and len(name) < 18 and (job := await journal.get(int(name))) is not None:
        return f"Job {name} ({job.name}) is {job.state}; only a song that waits can go first."
    if near := nearest(waiting, name):
        return f"{name} does not wait to be submitted. Did you mean {', '.join(near)}?"
    return (
        f"{name} does not wait to be submitted. A song in the inbox is known once it is whole: "
        "`stemwatch status` tells."
    )


def where(job: Job) -> str:
    """The path by which a person tells songs of one name apart."""
    return job.relpath if job.inbox is None else os.path.join(job.inbox, job.relpath)
