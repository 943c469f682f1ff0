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
    """The fault that a song met last, and in which state.

    `since` is when the pause began (monotonic seconds), None for a fault that begins no pause.
    `times` counts the pauses or faults of this kind that the song met one after another.
    """

    code: str
    state: JobState
    since: float | None
    times: int


@dataclass(slots=True)
class Trouble:
    """A folder that refuses files while its disk is well.

    `due` is when it is looked at next (monotonic seconds); None while a look is under way.
    """

    place: Place
    root: str  # the configured folder above it
    fault: StemwatchError
    due: float | None
    jobs: set[int] = field(default_factory=set)  # the jobs that wait until it is well


class Troubles:
    """All troubles of one service. They are in memory only: a start tries everything at once."""

    def __init__(self) -> None:
        self.met: dict[int, Met] = {}  # by job
        self.folders: dict[str, Trouble] = {}
        self.rehearsals: dict[str, Rehearsal] = {}  # by outbox
        # Jobs that wait alone for a disk, for longer each time, and why.
        self.alone: dict[int, str] = {}
        # Jobs that a server failed many times in a row, and why. `run --once` ends without them.
        self.in_vain: dict[int, str] = {}

    def at(self, folder: str) -> Trouble | None:
        """The trouble of `folder` or of the nearest folder above it, or None."""
        while self.folders and folder not in self.folders:
            if (above := os.path.dirname(folder)) == folder:
                return None
            folder = above
        return self.folders.get(folder)

    def due(self, now: float) -> list[str]:
        """Folders whose next look is due at `now` (monotonic seconds)."""
        return [f for f, one in self.folders.items() if one.due is not None and one.due <= now]

    def next_due(self) -> float | None:
        """When the next look is due (monotonic seconds), or None.

        A look under way does not count: it wakes the pool when it ends.
        """
        times = (trouble.due for trouble in self.folders.values())
        return min((due for due in times if due is not None), default=None)

    def waiting(self) -> set[int]:
        """Ids of the jobs that wait for a person to mend something."""
        return set(self.alone).union(*(trouble.jobs for trouble in self.folders.values()))

    def reasons(self) -> list[str]:
        """What a person has to mend, each fault once."""
        faults = [str(trouble.fault) for trouble in self.folders.values()]
        return list(dict.fromkeys([*faults, *self.alone.values(), *self.in_vain.values()]))

    def remembered(self) -> set[int]:
        """Ids of the jobs that anything is remembered of."""
        return {*self.met, *self.in_vain, *self.waiting()}

    def tries(self, job_id: int) -> None:
        """A step of the job begins, so the job no longer waits."""
        self.alone.pop(job_id, None)
        for trouble in self.folders.values():
            trouble.jobs.discard(job_id)

    def passed(self, job_id: int) -> None:
        """A step of the job succeeded, so the fault that it met before is over."""
        self.met.pop(job_id, None)
        self.in_vain.pop(job_id, None)

    def forget(self, job_id: int) -> None:
        """The job has come to its end."""
        self.tries(job_id)
        self.passed(job_id)
