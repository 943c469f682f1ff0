"""The interface of the journal: reads and writes jobs, their history, and what was spent.

Writes return only once they are on disk (`add_new` is the exception). Reads have a connection and
a thread of their own, so that they never wait for an fsync.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from stemwatch.job import Identity, Job, JobState
from stemwatch.journal import claiming, counting, inheriting, rows, schema, sorting, transactions
from stemwatch.journal.claiming import OPEN, among
from stemwatch.journal.reader import Reader
from stemwatch.journal.transactions import AlreadyPaid, Limit, OverBudget, StaleJob, marks, padded
from stemwatch.journal.writer import Later, Writer

__all__ = ["AlreadyPaid", "Journal", "Limit", "OverBudget", "StaleJob"]

T = TypeVar("T")
_PAGE = 100  # jobs that a look at states gives at a time: each takes 4 kB meanwhile


class Journal:
    """One state directory's journal; end it with `close`."""

    def __init__(self, path: str, *, clock: Callable[[], float] = time.time) -> None:
        """Open (or create) the database at `path`. Raises JournalFault."""
        schema.prepare(path)
        self.path = path
        self._clock = clock
        self._writer = Writer(schema.connect(path))
        self._reader = Reader(schema.connect(path))

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    def require_sound(self) -> None:
        """Raise the JournalFault that a write met, whoever asked for that write."""
        if self._writer.failed is not None:
            raise self._writer.failed

    # -- writing ---------------------------------------------------------------------------

    async def pulse(self) -> None:
        """Return once both threads have answered: nothing is written, and it proves they live."""
        await self._write(lambda db: None)
        await self._read(lambda db: None)

    async def add(self, job: Job, *, alone: bool = False) -> Job:
        """See `transactions.add`. Returns the job with its id."""
        return await self._write(lambda db: transactions.add(db, job, self._clock(), alone=alone))

    async def add_new(self, job: Job, by_bytes: str) -> Job | None:
        """See `transactions.add_new`: `add`, unless there are jobs that are `akin` to it.

        Returns before it is on the disk: a song that is still in the inbox is found again.
        """
        at = self._clock()
        return await self._write(Later(lambda db: transactions.add_new(db, job, by_bytes, at)))

    async def advance(self, job: Job, to: JobState, note: str = "", **changes: Any) -> Job:
        """Move `job` to state `to`, with field changes; returns the moved job.

        Raises StaleJob if it moved already, and as `transactions.advance` does.
        """
        return await self._write(
            lambda db: transactions.advance(db, job, to, note, changes, self._clock())
        )

    async def amend(self, job: Job, **changes: Any) -> Job:
        """Change fields of `job` in its present state. Raises StaleJob."""
        return await self._write(
            lambda db: transactions.update(db, job, job.state, changes, self._clock())
        )

    async def intend(
        self,
        job: Job,
        *,
        idempotency_key: str,
        minutes: float,
        price: float,
        limits: Sequence[Limit],
        alike: Collection[Job] = (),
    ) -> Job:
        """Commit the intent to submit: from here on the job may be charged.

        `minutes` of audio at `price` a minute are booked in the same transaction. `alike`: the
        ended jobs of this content, as they were when it was found that nothing of theirs can be
        used again. Raises AlreadyPaid, Held, OverBudget or StaleJob; then nothing is changed.
        """
        return await self._write(
            lambda db: transactions.intend(
                db,
                job,
                idempotency_key=idempotency_key,
                minutes=minutes,
                price=price,
                limits=limits,
                alike=alike,
                at=self._clock(),
            )
        )

    async def take_back(self, job: Job, note: str) -> Job:
        """The server took nothing: submitting -> queued, and the booking is undone."""
        return await self._write(lambda db: transactions.take_back(db, job, note, self._clock()))

    async def unbook(self, job: Job) -> None:
        """Undo the booking of a submission that was answered with a refusal of this file."""
        await self._write(lambda db: transactions.unbook(db, job))

    async def inherit(self, dead: Job, *, theirs: bool) -> Job | None:
        """See `inheriting.inherit`. Raises StaleJob where the owner of `dead` lives after all."""
        return await self._write(
            lambda db: inheriting.inherit(db, dead, self._clock(), theirs=theirs)
        )

    async def wake(
        self, owner: str | None, codes: Sequence[str], jobs: Collection[int] | None = None
    ) -> None:
        """See `transactions.wake`."""
        await self._write(lambda db: transactions.wake(db, owner, codes, jobs))

    async def sort_in(self, outboxes: Mapping[str, str | None]) -> list[Job]:
        """See `sorting.sort_in`: the inboxes may be other ones at every start."""
        return await self._write(lambda db: sorting.sort_in(db, outboxes, self._clock()))

    async def put_first(self, ids: Sequence[int]) -> list[int]:  # see `transactions.put_first`
        return await self._write(lambda db: transactions.put_first(db, ids, self._clock()))

    async def note(self, name: str, value: str) -> None:
        """Remember a single fact of the service as a whole."""
        sql = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
        await self._write(lambda db: db.execute(sql, (name, rows.text(value))).rowcount)

    # -- reading ---------------------------------------------------------------------------

    async def get(self, job_id: int) -> Job | None:
        return next(iter(await self._select("id = ?", (job_id,))), None)

    async def claim(
        self,
        states: Collection[JobState],
        *,
        now: float,
        owner: str | None,
        limit: int,
        latest: float = math.inf,
        busy: Collection[int] = (),
        busy_content: Collection[str] = (),
        longest: float | None = None,
        inboxes: Sequence[str | None] = (),
        unfiled_by: float = math.inf,
        at_hand: bool | None = None,
        fits: claiming.Fits | None = None,
    ) -> list[Job]:
        """Up to `limit` jobs in `states` that may be worked on, furthest along first.

        `busy` ids and `busy_content` are at work already. `longest`: seconds of audio that may
        still be paid for; None: no limit. `inboxes`: only their songs; empty: all. A job that is
        due after `latest` is due now: its time was set by a clock that was ahead. A quarantined
        job is claimed only while its original is not moved. A job whose original could not be
        moved is claimed only if it is due at `unfiled_by`. `at_hand`: of the queued songs only
        those that have their stems already; False: only the others. `fits`: see `claiming.first`.
        """
        looks = claiming.looks(
            states,
            now=now,
            latest=latest,
            owner=owner,
            busy=busy,
            busy_content=busy_content,
            longest=longest,
            inboxes=inboxes,
            unfiled_by=unfiled_by,
            at_hand=at_hand,
        )
        return [rows.decode(row) for row in await self._read(claiming.first(looks, limit, fits))]

    async def awaited(self, owner: str | None) -> list[tuple[str | None, str]] | None:
        """Who separates the contents that the queued jobs of `owner` wait for: owner and a path.

        None where no job of `owner` is queued.
        """
        return await self._read(claiming.awaited(owner))

    async def next_due(
        self, states: Collection[JobState], owner: str | None, now: float
    ) -> float | None:
        """The earliest `not_before` after `now` (Unix seconds) of the jobs in `states`."""
        return await self._read(claiming.next_due(states, owner, now))

    async def held_until(self, code: str, owner: str | None) -> dict[JobState, float]:
        """The latest `not_before` (Unix seconds) of the jobs that wait because of `code`."""
        return await self._read(claiming.held_until(code, owner))

    async def at_paths(self, paths: Sequence[str]) -> dict[str, list[Job]]:
        """The jobs that were journaled at these paths, newest last."""
        values = rows.encode_paths(padded(paths))
        found: dict[str, list[Job]] = {}
        for job in await self._select(f"path IN ({marks(values)}) ORDER BY id", values):
            found.setdefault(job.path, []).append(job)
        return found

    async def known(self, paths: Sequence[str]) -> dict[str, list[tuple[JobState, Identity, bool]]]:
        """(state, identity, whether the file was moved away) of the jobs at these paths."""
        values = rows.encode_paths(padded(paths))
        sql = (
            "SELECT path, state, identity, coalesce(filed_to <> path, 0) FROM jobs"
            f" WHERE state <> 'gone' AND path IN ({marks(values)})"
        )
        found: dict[str, list[tuple[JobState, Identity, bool]]] = {}
        for row in await self._all(sql, values):
            path, identity = rows.decode_path(row[0]), rows.decode_identity(row[2])
            found.setdefault(path, []).append((JobState(row[1]), identity, bool(row[3])))
        return found

    async def akin(self, path: str, key: str) -> tuple[list[Job], list[Job]]:
        """The jobs that were journaled at `path`, and those in quarantine with content `key`.

        The former oldest first, the latter newest first.
        """
        at_path, key_of = rows.encode_path(path), (key, JobState.QUARANTINED)
        where = "path = ? OR (content_key = ? AND state = ?) ORDER BY id"
        jobs = await self._select(where, (at_path, *key_of))
        held = [job for job in reversed(jobs) if (job.content_key, job.state) == key_of]
        return [job for job in jobs if job.path == path], held

    async def with_content(self, key: str, states: Iterable[JobState]) -> list[Job]:
        """Jobs of this content in one of `states`, newest first."""
        wanted = tuple(states)
        where = f"content_key = ? AND state IN ({marks(wanted)}) ORDER BY id DESC"
        return await self._select(where, (key, *wanted))

    async def in_states(self, states: Collection[JobState], *, after: int = 0) -> list[Job]:
        """A page of the jobs in `states` by id, those after `after`."""
        return await self._select(
            f"state IN ({marks(states)}) AND id > ?{among(states)} ORDER BY id LIMIT ?",
            (*states, after, _PAGE),
        )

    async def counts(self) -> dict[str, int]:
        """How many jobs are in each state; it reads all that there ever were: see `active`."""
        return await self._read(counting.all_states)

    async def active(self, *, own: bool = False) -> dict[str, int]:
        """How many jobs are in each state that is not final; `own`: not those of a `split`."""
        return await self._read(counting.active(own=own))

    async def changed_since(self, state: JobState, since: float) -> int:
        """How many of the service's jobs came into `state` after the wall-clock time `since`."""
        return await self._read(counting.changed_since(state, since))

    async def spent(self, since: float, inbox: str | None = None) -> tuple[float, float]:
        """Minutes and price booked since the wall-clock time `since`, of one inbox or of all."""
        return await self._read(lambda db: transactions.spent(db, since, inbox))

    async def inboxes(self) -> list[tuple[str | None, str]]:
        """The inboxes with songs that the service has not finished, each with their outboxes."""
        sql = f"SELECT DISTINCT inbox, outbox FROM jobs WHERE owner IS NULL{OPEN}"
        return [(row[0], rows.decode_path(row[1])) for row in await self._all(sql, ())]

    async def fact(self, name: str) -> str | None:
        row = await self._one("SELECT value FROM meta WHERE name = ?", (name,))
        return None if row is None else str(row[0])

    # -- threads ---------------------------------------------------------------------------

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]:
        return self._writer.submit(work)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]:
        return self._reader.submit(work)

    async def _all(self, sql: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        return await self._read(lambda db: db.execute(sql, values).fetchall())

    async def _one(self, sql: str, values: Sequence[Any]) -> sqlite3.Row | None:
        return next(iter(await self._all(sql, values)), None)

    async def _select(self, where: str, values: Sequence[Any]) -> list[Job]:
        sql = f"SELECT {rows.ALL} FROM jobs WHERE {where}"
        return [rows.decode(row) for row in await self._all(sql, values)]
