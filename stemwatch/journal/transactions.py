"""The journal's write operations: functions that run in a transaction on the writer's thread.

Every change of a job is a compare-and-set on (id, state, owner). Every transition leaves a history
row. `at` is the wall-clock time of the change, Unix seconds.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from stemwatch.codes import Code
from stemwatch.errors import StemwatchError
from stemwatch.job import CLEARED, IN_OUTBOX, TRANSITIONS, Job, JobState
from stemwatch.journal import pausing, rows

T = TypeVar("T")


class StaleJob(StemwatchError):
    """The job moved on since it was read: another process or task was there first."""

    code = Code.STALE_JOB


class ForbiddenTransition(Exception):
    """A step asked for a state that its job can't go to: a bug of ours, reported as one.

    It is no StemwatchError: handled like a StaleJob, the job would be claimed again without end.
    """


class AlreadyPaid(StemwatchError):
    """Another job for the same content is under way, or has ended: its stems are used first."""

    code = Code.ALREADY_PAID


class Held(StemwatchError):
    """`stemwatch pause` is in force: nothing of the service may be submitted."""

    code = Code.ON_HOLD


class OverBudget(StemwatchError):
    """The intent would exceed the minutes that the owner allows."""

    code = Code.BUDGET


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `minutes` of audio since the wall-clock time `since` (Unix seconds).

    `inbox`: the limit is for that inbox's songs; None: for all songs together.
    """

    since: float
    minutes: float
    inbox: str | None = None


_ADD = f"INSERT INTO jobs ({rows.ALL}) VALUES (:{', :'.join(rows.COLUMNS)})"


_OPEN_ALIKE = "SELECT 1 FROM jobs WHERE content_key = ? AND state NOT IN ('done', 'gone') LIMIT 1"


def add(db: sqlite3.Connection, job: Job, at: float, *, alone: bool = False) -> Job:
    """Insert a new job, whose `id` is ignored; returns it with its id.

    `alone`: raise AlreadyPaid where a job of its content has not ended.
    """
    if alone and db.execute(_OPEN_ALIKE, (job.content_key,)).fetchone() is not None:
        raise AlreadyPaid("the same content is on its way already.")
    job = job.evolve(id=None, created_at=job.created_at or at, updated_at=at)
    cursor = db.execute(_ADD, rows.encode(vars(job)))
    added = job.evolve(id=int(cursor.lastrowid or 0))
    _remember(db, added.id, added.state, job.code or "", at)
    return added


_RECOGNIZE = (
    "UPDATE OR IGNORE jobs SET content_key = ?, audio_sha256 = ?"
    " WHERE content_key = ? AND audio_sha256 IS NULL"
)


def add_new(db: sqlite3.Connection, job: Job, by_bytes: str, at: float) -> Job | None:
    """Insert `job`; None if another has its path, or is in quarantine with its content.

    `by_bytes` is its key if nothing but its bytes were known.
    """
    if job.content_key != by_bytes:
        # An older stemwatch journaled songs by their bytes only: now their sound is known.
        told = job.content_key, job.audio_sha256, by_bytes
        db.execute(_RECOGNIZE, told)
    sql = "SELECT 1 FROM jobs WHERE path = ? OR (content_key = ? AND state = 'quarantined') LIMIT 1"
    akin = db.execute(sql, (rows.encode_path(job.path), job.content_key)).fetchone()
    return add(db, job, at) if akin is None else None


def advance(
    db: sqlite3.Connection, job: Job, to: JobState, note: str, changes: Mapping[str, Any], at: float
) -> Job:
    """Move `job` to state `to`, with field changes; returns the moved job.

    Raises StaleJob, AlreadyPaid if another job of this content is under way, or
    ForbiddenTransition if `TRANSITIONS` does not allow it.
    """
    if to not in TRANSITIONS[job.state]:
        raise ForbiddenTransition(f"job {job.id} can't go from {job.state} to {to}.")
    try:
        moved = update(db, job, to, changes, at)
    except sqlite3.IntegrityError as fault:
        raise AlreadyPaid("the same content is being separated already.") from fault
    _remember(db, job.id, to, note, at)
    return moved


def update(
    db: sqlite3.Connection, job: Job, to: JobState, changes: Mapping[str, Any], at: float
) -> Job:
    """Set fields and the state, without a history row; returns the new job. Raises StaleJob."""
    given = {"updated_at": at, **changes, "state": to}
    moved = job.evolve(**given)
    values = rows.encode(given).values()
    done = db.execute(_updating(tuple(given)), (*values, job.id, job.state, job.owner))
    if done.rowcount != 1:
        raise StaleJob(f"job {job.id} is no longer {job.state}.")
    return moved


@functools.lru_cache(maxsize=128)
def _updating(names: tuple[str, ...]) -> str:
    assignments = ", ".join(f"{name} = ?" for name in names)
    return f"UPDATE jobs SET {assignments} WHERE id = ? AND state = ? AND owner IS ?"


def intend(
    db: sqlite3.Connection,
    job: Job,
    *,
    idempotency_key: str,
    minutes: float,
    price: float,
    limits: Sequence[Limit],
    alike: Collection[Job],
    at: float,
) -> Job:
    """Book the minutes and move to `submitting`, with what `job` says was uploaded.

    Raises AlreadyPaid, OverBudget, StaleJob, or Held: once `stemwatch pause` has returned, nothing
    is paid for, even if the service has not heard of it. A `split` is a command of its own.
    """
    if job.owner is None and pausing.in_force(_fact(db, pausing.FACT), at) is not None:
        raise Held("`stemwatch pause` is in force.")
    # An upload may have waited for minutes: long enough for another owner's whole job.
    if _ended(db, job) - {_end(other) for other in alike}:
        raise AlreadyPaid("the same content was separated meanwhile.")
    for limit in limits:
        if spent(db, limit.since, limit.inbox)[0] + minutes > limit.minutes + 1e-9:
            raise OverBudget(f"{minutes:.2f} minutes more would exceed {limit.minutes:g}.")
    changes = {
        "idempotency_key": idempotency_key,
        "submitted_at": at,
        "uploaded_codec": job.uploaded_codec,
        "uploaded_bytes": job.uploaded_bytes,
    }
    moved = advance(db, job, JobState.SUBMITTING, "", changes, at)
    # `unbook` has deleted the row of each refused try. A row that is still here may have been
    # charged, whatever becomes of this try. It stays booked, under a key that no `unbook` matches.
    db.execute(
        "UPDATE spend SET idempotency_key = idempotency_key || '#' || rowid"
        " WHERE idempotency_key = ?",
        (idempotency_key,),
    )
    db.execute(
        "INSERT INTO spend (idempotency_key, job_id, at, minutes, price, inbox)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (idempotency_key, job.id, at, minutes, price * minutes, job.inbox),
    )
    return moved


def _fact(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def put_first(db: sqlite3.Connection, ids: Sequence[int], at: float) -> list[int]:
    """Have these queued jobs of the service go before all others, in this order.

    Returns those that are queued no more.
    """
    latest = db.execute("SELECT max(first_at) FROM jobs WHERE first_at IS NOT NULL").fetchone()[0]
    first = max(at, (latest or 0.0) + 1.0)  # the clock may have been put back
    late = []
    for place, job_id in enumerate(ids):
        done = db.execute(
            "UPDATE jobs SET first_at = ? WHERE id = ? AND state = 'queued' AND owner IS NULL",
            (first - place / 1024, job_id),
        )
        if done.rowcount == 1:
            _remember(db, job_id, JobState.QUEUED, "first", at)  # who watches the queue sees it
        else:
            late.append(job_id)
    return late


def _ended(db: sqlite3.Connection, job: Job) -> set[tuple[int, str | None]]:
    """How the other jobs of this content ended: as deliveries, or in quarantine."""
    sql = (
        f"SELECT {rows.ALL} FROM jobs WHERE content_key = ? AND id <> ?"
        " AND state IN ('delivered', 'done', 'quarantined')"
    )
    return {_end(rows.decode(row)) for row in db.execute(sql, (job.content_key, job.id))}


def _end(job: Job) -> tuple[int, str | None]:
    """A mark of how a job ended: it stays when the original is moved, and changes with a retry."""
    return job.id, job.delivered_to if job.state in IN_OUTBOX else job.code


def take_back(db: sqlite3.Connection, job: Job, note: str, at: float) -> Job:
    """submitting -> queued, and the booking is undone."""
    if job.state is not JobState.SUBMITTING:  # a quarantined one may have been charged
        raise ForbiddenTransition(f"job {job.id} is {job.state}: no submission is to be undone.")
    moved = advance(db, job, JobState.QUEUED, note, CLEARED, at)
    unbook(db, job)
    return moved


def unbook(db: sqlite3.Connection, job: Job) -> None:
    """Undo the booking of the last submission only: an earlier, unconfirmed one may be charged."""
    db.execute("DELETE FROM spend WHERE idempotency_key = ?", (job.idempotency_key,))


def wake(
    db: sqlite3.Connection, owner: str | None, codes: Sequence[str], jobs: Collection[int] | None
) -> None:
    """Make jobs due now that wait for one of `codes`, or for their original to be moved.

    `jobs`: only those with these ids; None: all of `owner`.
    """
    sql = (
        "UPDATE jobs SET not_before = 0 WHERE not_before > 0 AND state NOT IN ('done', 'gone')"
        f" AND owner IS ? AND (code IN ({marks(codes)}) OR state IN ('delivered', 'quarantined'))"
    )
    if jobs is None:
        db.execute(sql, (owner, *codes))
    else:
        db.executemany(f"{sql} AND id = ?", [(owner, *codes, job_id) for job_id in jobs])


def spent(db: sqlite3.Connection, since: float, inbox: str | None = None) -> tuple[float, float]:
    """Minutes and price booked since the wall-clock time `since`, of one inbox or (None) of all."""
    sql = "SELECT coalesce(sum(minutes), 0), coalesce(sum(price), 0) FROM spend WHERE at >= ?"
    one = "" if inbox is None else " AND inbox = ?"
    row = db.execute(sql + one, (since,) if inbox is None else (since, inbox)).fetchone()
    return float(row[0]), float(row[1])


def marks(values: Collection[Any]) -> str:
    """As many SQL placeholders as there are `values`."""
    return ", ".join("?" * len(values))


def padded(values: Collection[T]) -> list[T]:
    """`values`, the last one repeated up to a power of two: for IN, which means the same by it.

    A connection keeps a compiled program for each SQL text. With a text for each number of busy
    songs nearly every query was compiled anew, and the memory of those programs only grew.
    """
    full = list(values)
    return full + full[-1:] * ((1 << max(0, len(full) - 1).bit_length()) - len(full))


def _remember(db: sqlite3.Connection, job_id: int, state: JobState, note: str, at: float) -> None:
    db.execute("INSERT INTO history VALUES (?, ?, ?, ?)", (job_id, at, state, rows.text(note)))
