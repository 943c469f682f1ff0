"""What became of songs, newest first: delivered or quarantined, when, and at what cost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from stemwatch.job import Job, JobState
from stemwatch.journal.rows import COLUMNS, decode


class Ended(NamedTuple):
    """One song that came into a state `at` (Unix seconds), as it is now.

    `minutes` of audio and `price` are what is booked for it: nothing where earlier stems were used
    again. `note` is the word of that moment: the quarantine's code, or where stems came from.
    """

    job: Job
    at: float
    note: str
    minutes: float
    price: float


_JOB = ", ".join(f"j.{name}" for name in COLUMNS)
# A job's bookings are not older than itself: without that, all that was ever spent is read.
_SPENT = "FROM spend s WHERE s.at >= j.created_at AND s.job_id = j.id"
# When it came into its state. What was read back from a sidecar says so itself.
_AT = "iif(h.state = 'done', j.created_at, h.at)"
# The history's rows come in their order of time: the newest are found without sorting years.
_ENDED = f"""
SELECT {_AT} AS ended_at, h.note AS ended_note, {_JOB},
  (SELECT coalesce(sum(s.minutes), 0) {_SPENT}) AS spent_minutes,
  (SELECT coalesce(sum(s.price), 0) {_SPENT}) AS spent_price
FROM history h JOIN jobs j ON j.id = h.job_id
WHERE {{which}} AND {_AT} >= ? ORDER BY h.rowid DESC LIMIT ?
"""
# What was read back from sidecars, after a journal was lost, was never seen to be delivered.
_READ_BACK = (
    "(h.state = 'done' AND NOT EXISTS (SELECT 1 FROM history d"
    " WHERE d.job_id = h.job_id AND d.state = 'delivered'))"
)
_WHICH = {
    JobState.DELIVERED: f"(h.state = 'delivered' OR {_READ_BACK})",
    JobState.QUARANTINED: "h.state = 'quarantined'",
}


def ended(state: JobState, since: float, limit: int) -> Callable[[sqlite3.Connection], list[Ended]]:
    """Up to `limit` songs that came into `state` (delivered or quarantined), since a time."""
    sql = _ENDED.format(which=_WHICH[state])

    def work(db: sqlite3.Connection) -> list[Ended]:
        return [_ended(row) for row in db.execute(sql, (since, limit))]

    return work


def _ended(row: sqlite3.Row) -> Ended:
    return Ended(
        job=decode(row),
        at=row["ended_at"],
        note=row["ended_note"],
        minutes=row["spent_minutes"],
        price=row["spent_price"],
    )
