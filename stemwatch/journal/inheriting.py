"""Hands a job that an interrupted `split` paid for to the service's song of the same content."""

from __future__ import annotations

import sqlite3

from stemwatch.job import CLEARED, Job, JobState
from stemwatch.journal import rows
from stemwatch.journal.claiming import OPEN
from stemwatch.journal.transactions import advance

_HEIR = (
    f"SELECT {rows.ALL} FROM jobs WHERE content_key = ? AND state = 'queued' AND owner IS NULL"
    f"{OPEN} ORDER BY id LIMIT 1"
)


def inherit(db: sqlite3.Connection, dead: Job, at: float, *, theirs: bool) -> Job | None:
    """End the job `dead` of an owner that died; the oldest queued job of its content goes on.

    `theirs`: only that owner could reach its server's results, so the heir starts anew. Returns the
    heir; None, with nothing changed, if no song waits. Raises StaleJob if `dead` moved on.
    """
    row = db.execute(_HEIR, (dead.content_key,)).fetchone()
    if row is None:
        return None
    heir = rows.decode(row)
    # Its file was never moved, and `split` run again finds its stems: nothing for a person to do.
    stopped = advance(db, dead, JobState.QUARANTINED, "interrupted", {"filed_to": dead.path}, at)
    advance(db, stopped, JobState.GONE, f"taken over by job {heir.id}", {}, at)
    return heir if theirs else _continued(db, heir, dead, at)


def _continued(db: sqlite3.Connection, heir: Job, dead: Job, at: float) -> Job:
    """Move the heir by the usual transitions, which set every field. `dead` stays booked, once."""
    note = f"taken over from job {dead.id}"
    sent = {"idempotency_key": dead.idempotency_key, "submitted_at": dead.submitted_at}
    heir = advance(db, heir, JobState.SUBMITTING, note, sent, at)
    taken = {"remote_id": dead.remote_id, "request_id": dead.request_id}
    fresh = {"attempts": 0, "not_before": 0.0, **CLEARED}
    heir = advance(db, heir, JobState.SEPARATING, note, {**taken, **fresh}, at)
    if dead.state is JobState.SEPARATING:
        return heir
    names = ("completed_at", "bpm", "key", "heard", "engine", "model", "model_sha256")
    told = {name: getattr(dead, name) for name in names}
    return advance(db, heir, JobState.SEPARATED, note, {**told, "credits": dead.credits}, at)
