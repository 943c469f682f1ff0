"""Sorts the songs that have not ended into the inboxes which are configured at a start."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping

from stemwatch.job import Job, JobState
from stemwatch.journal import rows
from stemwatch.journal.claiming import OPEN
from stemwatch.journal.transactions import advance

NOT_SERVED = "its inbox is not in the configuration any more"

_OWN = f" AND origin = 'inbox'{OPEN}"
_WAITING = f"SELECT {rows.ALL} FROM jobs WHERE state = 'queued' AND owner IS NULL{_OWN}"


def sort_in(db: sqlite3.Connection, outboxes: Mapping[str, str | None], at: float) -> list[Job]:
    """Give each song that has not ended to the inbox of its outbox, whatever its name was before.

    `outboxes`: outbox -> name of its inbox. Where all inboxes have names, a song without an inbox
    gets the empty name: None would mean the songs of all. Returns the songs that it let go: they
    waited in an inbox that is no longer there.
    """
    for outbox, inbox in outboxes.items():
        values = rows.encode_path(outbox), inbox
        moved = "UPDATE jobs SET inbox = ?2 WHERE outbox = ?1 AND inbox IS NOT ?2"
        db.execute(moved + _OWN, values)
    if None not in outboxes.values():
        db.execute(f"UPDATE jobs SET inbox = '' WHERE inbox IS NULL{_OWN}")
    return _let_go(db, set(outboxes.values()), at)


def _let_go(db: sqlite3.Connection, served: Collection[str | None], at: float) -> list[Job]:
    """End the waiting songs of all other inboxes: nobody's budget and hours are theirs any more.

    Their originals stay. A scan finds them anew if their inbox, or another one there, is served.
    """
    left = db.execute(_WAITING + " AND inbox IS NOT ?" * len(served), tuple(served)).fetchall()
    jobs = [rows.decode(row) for row in left]
    return [advance(db, job, JobState.GONE, NOT_SERVED, {}, at) for job in jobs]
