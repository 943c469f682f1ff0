"""Troubles of single songs and folders: who waits for what, while everybody else goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NamedTuple

from stemwatch.disks.places import Place
from stemwatch.errors import StemwatchError
from stemwatch.job import JobState
from stemwatch.workers.pacing.rehearsal import Rehearsal


class Met(NamedTuple):
    """What a song met last, in which state. `since`: when the pause began (monotonic seconds).

    `times`: in how many pauses of this kind, one after another.
    """

    code: str
    state: JobState
    since: float | None
    times: int


@dataclass(slots=True)
class Trouble:
    """A folder that takes nothing while its disk is well.

    `due`: when it is looked at next (monotonic seconds); None while a look is under way.
    """

    place: Place
    root: str  # the configured folder that it is below
    fault: StemwatchError
    due: float | None
    jobs: set[int] = field(default_factory=set)  # who waits until it is well


class Troubles:
    """All of one service, in memory: a start tries everything at once."""

    def __init__(self) -> None:
        self.met: dict[int, Met] = {}  # by job
        self.folders: dict[str, Trouble] = {}
        self.rehearsals: dict[str, Rehearsal] = {}  # by outbox
        # Jobs that wait alone for a disk, for longer each time, and why.
        self.alone: dict[int, str] = {}

    def at(self, folder: str) -> Trouble | None:
        """The trouble of `folder`, or of one above it."""
        while self.folders and folder not in self.folders:
            if (above := os.path.dirname(folder)) == folder:
                return None
            folder = above
        return self.folders.get(folder)

    def due(self, now: float) -> list[str]:
        """Folders that are to be looked at again."""
        return [f for f, one in self.folders.items() if one.due is not None and one.due <= now]

    def next_due(self) -> float | None:
        """When the next look begins; a look under way wakes the pool when it ends."""
        times = (trouble.due for trouble in self.folders.values())
        return min((due for due in times if due is not None), default=None)

    def waiting(self) -> set[int]:
        """Jobs that go on once a person has mended something."""
        return set(self.alone).union(*(trouble.jobs for trouble in self.folders.values()))

    def reasons(self) -> list[str]:
        """What is to be mended, each once."""
        faults = [str(trouble.fault) for trouble in self.folders.values()]
        return list(dict.fromkeys([*faults, *self.alone.values()]))

    def remembered(self) -> set[int]:
        """Jobs that anything is kept of."""
        return {*self.met, *self.waiting()}

    def tries(self, job_id: int) -> None:
        """The job waits no more: a step of it begins."""
        self.alone.pop(job_id, None)
        for trouble in self.folders.values():
            trouble.jobs.discard(job_id)

    def passed(self, job_id: int) -> None:
        """A step of the job did what it should: what it met before is over."""
        self.met.pop(job_id, None)

    def forget(self, job_id: int) -> None:
        """The job has come to its end."""
        self.tries(job_id)
        self.met.pop(job_id, None)
