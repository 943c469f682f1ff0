"""The events of notices: a song delivered or quarantined, a pause, its end, a budget used up."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemwatch.config.notify_keys import EVENTS
from stemwatch.job import IN_OUTBOX, Job, JobState
from stemwatch.workers.pacing.budget import Allowance
from stemwatch.workers.pacing.pause import Pause

DELIVERED, QUARANTINED, PAUSED, RESUMED, BUDGET = EVENTS


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; fields that don't apply are empty.

    `code`, `message` and `hint` as in the log; `name` is a song's file name, `folder` where its
    stems are (or the folder of the quarantined file), `file` where the original is now
    (empty where it was deleted).
    """

    kind: str
    code: str = ""
    message: str = ""
    hint: str = ""
    name: str = ""
    folder: str = ""
    file: str = ""
    reason: Mapping[str, Any] | None = None  # of a quarantined file, as in its reason file
    inbox: str | None = None  # whose, of several; None: everybody's

    @property
    def key(self) -> str:
        """Tells one pause from another: each inbox has its own."""
        return self.code if self.inbox is None else f"{self.code} {self.inbox}"


def of_job(job: Job, reason: Mapping[str, Any]) -> Event | None:
    """The event of a job's end; None: nothing to tell (the file was taken back).

    If the original of a delivered song can't be moved, `code`, `message` and `hint` say why.
    """
    file = job.path if job.filed_to is None else job.filed_to
    if job.state in IN_OUTBOX:
        code, message, hint = job.unfiled[:3] if job.unfiled else ("", "", "")
        return Event(
            DELIVERED,
            code=code,
            message=message,
            hint=hint,
            name=job.name,
            folder=job.delivered_to or "",
            file=file,
        )
    if job.state is not JobState.QUARANTINED:
        return None
    return Event(
        QUARANTINED,
        code=job.code or "",
        message=job.message or "",
        hint=job.hint or "",
        name=job.name,
        folder=os.path.dirname(file),
        file=file,
        reason=reason,
    )


def of_pause(pause: Pause, *, begins: bool) -> Event:
    """The event of a pause that begins or ends."""
    kind = PAUSED if begins else RESUMED
    return Event(kind, code=pause.code, message=pause.message, hint=pause.hint, inbox=pause.inbox)


def of_budget(left: Allowance, waiting: str, inbox: str | None) -> Event:
    """The event of a budget in which too little is left for so many songs that wait.

    `inbox`: whose own it is; None: the one of all.
    """
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(left.until))
    return Event(
        BUDGET,
        code=left.key,
        message=f"{left.minutes or 0.0:.1f} minutes are left, {waiting} "
        f"{'songs wait' if waiting != '1' else 'song waits'} until {until}.",
        hint=f"Nothing to do, or raise {left.key}.",
        inbox=inbox,
    )
