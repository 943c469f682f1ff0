"""How many jobs there are, of a kind that is asked for while songs are worked on.

The status line asks every two seconds, by the thread that finds the pool its next songs. Years of
done songs must not be read each time: all but `all_states` have an index.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from stemwatch.job import JobState
from stemwatch.journal.claiming import OPEN, ORDER, among


def all_states(db: sqlite3.Connection) -> dict[str, int]:
    """How many jobs are in each state; every job that there ever was is read."""
    found = db.execute("SELECT state, count(*) FROM jobs GROUP BY state")
    return {str(state): 0 for state in JobState} | {row[0]: row[1] for row in found}


def active(*, own: bool) -> Callable[[sqlite3.Connection], dict[str, int]]:
    """How many jobs are in each state that is not final; `own`: the service's only."""
    whose = "owner IS NULL" if own else "true"
    sql = f"SELECT state, count(*) FROM jobs WHERE {whose}{OPEN} GROUP BY state"

    def work(db: sqlite3.Connection) -> dict[str, int]:
        return {str(state): 0 for state in ORDER} | {row[0]: row[1] for row in db.execute(sql)}

    return work


def changed_since(state: JobState, since: float) -> Callable[[sqlite3.Connection], int]:
    """How many of the service's jobs came into `state` after the wall-clock time `since`."""
    # The state is a literal: it is the condition of the index `jobs_done`.
    sql = (
        f"SELECT count(*) FROM jobs WHERE state = '{state}' AND updated_at >= ?"
        f" AND owner IS NULL{among((state,))}"
    )
    return lambda db: int(db.execute(sql, (since,)).fetchone()[0])
