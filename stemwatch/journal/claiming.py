"""Which jobs may be worked on next, as conditions in SQL."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from stemwatch.job import ACTIVE, AT_HAND, JobState, Options
from stemwatch.journal.rows import ALL, decode_options, decode_path
from stemwatch.journal.schema import IS_UNDER_WAY
from stemwatch.journal.transactions import marks, padded

ORDER = (*ACTIVE, JobState.QUARANTINED)
# SQLite uses a partial index only for a query that repeats the index's own condition: bound states
# alone prove nothing to it. Without OPEN it would read the whole journal, years of done songs, at
# every turn of the pool. LATER is there for the same reason.
OPEN = " AND state NOT IN ('done', 'gone')"
LATER = " AND not_before > 0"
_ENDED = frozenset({JobState.DONE, JobState.GONE})
# A queued job whose content is under way waits for those stems instead of paying for them again.
_NOT_UNDER_WAY = (
    " AND NOT EXISTS (SELECT 1 FROM jobs s WHERE s.content_key = jobs.content_key"
    f" AND {IS_UNDER_WAY})"  # of `s`, the inner one
)
# A limit on what may still be paid for does not hold back what was paid for before and is used
# again.
_AFFORDABLE = (
    " AND (coalesce(duration, 0) <= ? OR (NOT anew AND EXISTS (SELECT 1 FROM jobs s"
    " WHERE s.content_key = jobs.content_key AND s.state IN ('delivered', 'done'))))"
)
# Of the queued songs, those that a function of Python's lets through: see `first`.
_FITS = " AND (state <> 'queued' OR fits(options, duration, sample_rate, engine))"
# A list as one value. With a mark for each of its values there was a text for each length, and the
# connection keeps the compiled program of every text: 35 kB for a claim.
_LISTED = "(SELECT value FROM json_each(?))"
# Songs that have their stems already, and all others. The first is the index's own condition.
_AT_HAND = f" AND state = 'queued' AND engine = '{AT_HAND}'"
_TO_BE_PAID = f" AND engine IS NOT '{AT_HAND}'"


def among(states: Collection[JobState]) -> str:
    """OPEN, or "" if one of `states` is not open."""
    return "" if _ENDED & set(states) else OPEN


class Look(NamedTuple):
    """One query for jobs: what follows WHERE, its values, the order, the index if it is told."""

    where: str
    values: Sequence[Any]
    order: str = "id"
    by: str = ""


def looks(states: Collection[JobState], **claimed: Any) -> list[Look]:
    """The `condition` of each of `states`, furthest along first; what `first` named is first."""
    found: list[Look] = []
    for state in ORDER:
        if state in states:
            where, values = condition(state, **claimed)
            if state is JobState.QUEUED and claimed.get("at_hand"):
                found.append(Look(where, values, "first_at DESC, id", " INDEXED BY jobs_at_hand"))
                continue
            if state is JobState.QUEUED:
                few = f"{where} AND first_at IS NOT NULL"
                found.append(Look(few, values, "first_at DESC, id", " INDEXED BY jobs_first"))
                where += " AND first_at IS NULL"
            found.append(Look(where, values))
    return found


def condition(
    state: JobState,
    *,
    now: float,
    latest: float,
    owner: str | None,
    busy: Collection[int],
    busy_content: Collection[str],
    longest: float | None,
    inboxes: Sequence[str | None],
    unfiled_by: float,
    at_hand: bool | None = None,
) -> tuple[str, list[Any]]:
    """What follows WHERE for the jobs in `state`, and its values; see `Journal.claim`."""
    # "+" keeps this off the index by time: 20,000 that are due would be sorted to take one
    where = "state = ? AND (+not_before <= ? OR +not_before > ?)"
    where += f" AND owner IS ? AND id NOT IN {_LISTED}{OPEN}"
    values: list[Any] = [state, now, latest, owner, json.dumps(list(busy))]
    if inboxes := padded(inboxes):
        where += f" AND ({' OR '.join('inbox IS ?' for _ in inboxes)})"
        values += inboxes
    if state is JobState.QUARANTINED:
        where += " AND filed_to IS NULL"
    if unfiled_by < math.inf:
        where += " AND (unfiled IS NULL OR not_before <= ?)"
        values.append(unfiled_by)
    if state is JobState.QUEUED:
        where += f" AND content_key NOT IN {_LISTED}" + _NOT_UNDER_WAY
        values.append(json.dumps(list(busy_content)))
        if at_hand is not None:
            where += _AT_HAND if at_hand else _TO_BE_PAID
        if longest is not None:
            where += _AFFORDABLE
            values.append(longest)
    return where, values


# Whether a song may be claimed: its options, seconds, sample rate in Hz, and `Job.at_hand`.
Fits = Callable[[Options, float | None, int | None, bool], bool]


def first(
    looks: Sequence[Look], limit: int, fits: Fits | None = None
) -> Callable[[sqlite3.Connection], list[sqlite3.Row]]:
    """Up to `limit` jobs, those of the first look before those of the next.

    `fits`: only the queued ones that it lets through. It is called in the journal's thread.
    """

    def work(db: sqlite3.Connection) -> list[sqlite3.Row]:
        found: list[sqlite3.Row] = []
        if fits is not None:
            db.create_function("fits", 4, _asked(fits))
        for one in looks:
            where = one.where if fits is None else one.where + _FITS
            sql = f"SELECT {ALL} FROM jobs{one.by} WHERE {where} ORDER BY {one.order} LIMIT ?"
            found += db.execute(sql, (*one.values, limit - len(found)))
            if len(found) == limit:
                break
        return found

    return work


def _asked(fits: Fits) -> Callable[[str, float | None, int | None, str | None], bool]:
    """`fits`, of the columns as they are."""
    return lambda options, seconds, rate, engine: fits(
        decode_options(options), seconds, rate, engine == AT_HAND
    )


# Of an owner's queued jobs: whether there are any, and who separates the contents that they have.
_WAITS = f"SELECT 1 FROM jobs WHERE state = 'queued' AND owner IS ?{OPEN} LIMIT 1"
_AWAITED = (
    f"SELECT s.owner, min(s.path) FROM jobs s WHERE {IS_UNDER_WAY} AND s.owner IS NOT ?1"
    " AND EXISTS (SELECT 1 FROM jobs q WHERE q.content_key = s.content_key"
    " AND q.state = 'queued' AND q.owner IS ?1) GROUP BY s.owner"
)


def awaited(
    owner: str | None,
) -> Callable[[sqlite3.Connection], list[tuple[str | None, str]] | None]:
    """Who separates what the queued jobs of `owner` wait for; None where none is queued."""

    def work(db: sqlite3.Connection) -> list[tuple[str | None, str]] | None:
        theirs = [(o, decode_path(p)) for o, p in db.execute(_AWAITED, (owner,))]
        return theirs if theirs or db.execute(_WAITS, (owner,)).fetchone() else None

    return work


def next_due(
    states: Collection[JobState], owner: str | None, now: float
) -> Callable[[sqlite3.Connection], float | None]:
    """The earliest `not_before` after `now` (Unix seconds) of the jobs in `states`."""
    sql = (
        f"SELECT min(not_before) FROM jobs WHERE owner IS ? AND not_before > ?{LATER}"
        f" AND state IN ({marks(states)}){among(states)}"
    )
    return lambda db: db.execute(sql, (owner, now, *states)).fetchone()[0]


def held_until(
    code: str, owner: str | None
) -> Callable[[sqlite3.Connection], dict[JobState, float]]:
    """The latest `not_before` (Unix seconds) of the jobs that wait because of `code`, by state."""
    sql = (
        "SELECT state, max(not_before) FROM jobs WHERE code = ? AND owner IS ?"
        f" AND state IN ({marks(ACTIVE)}){OPEN} GROUP BY state"
    )

    def work(db: sqlite3.Connection) -> dict[JobState, float]:
        return {JobState(row[0]): float(row[1]) for row in db.execute(sql, (code, owner, *ACTIVE))}

    return work
