"""The journal opened for reading only: it is never created, migrated or written to."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar
from urllib.parse import quote

from stemwatch.errors import JournalFault, StemwatchError
from stemwatch.job import ACTIVE, Job, JobState
from stemwatch.journal import past, rows, schema
from stemwatch.journal.claiming import LATER, OPEN
from stemwatch.journal.journal import Journal
from stemwatch.journal.past import Ended
from stemwatch.journal.reader import Reader
from stemwatch.journal.schema import IS_ARCHIVED, IS_UNDER_WAY
from stemwatch.journal.transactions import marks, padded

T = TypeVar("T")
_PAGE = 100  # jobs of a long list that are read at a time, of 4 kB each


class ReadOnlyJournal(Journal):
    """The reading half of `Journal`; where there is no file, an empty journal in memory.

    Raises JournalFault for a file that can't be read as a journal of this version.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._reader = Reader(_open(path))

    def close(self) -> None:
        self._reader.close()

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]:  # noqa: ARG002
        raise JournalFault("this command opened the journal for reading only.")

    async def waiting(self, now: float, limit: int) -> list[Job]:
        """Jobs whose `not_before` is after `now` (Unix seconds), the soonest first.

        Jobs whose original can't be moved are left out: see `unfiled`.
        """
        return await self._select(
            f"not_before > ?{LATER} AND unfiled IS NULL AND state IN ({marks(ACTIVE)}){OPEN}"
            " ORDER BY not_before, id LIMIT ?",
            (now, *ACTIVE, limit),
        )

    async def held_by_budget(self, longest: float, inbox: str | None = None) -> int:
        """How many queued jobs of the service have to pay for more than `longest` seconds of audio.

        `inbox`: of that inbox; None: of all. Jobs of a `split` are left out: they don't go on when
        the limit is renewed.
        """
        row = await self._one(
            "SELECT count(*) FROM jobs WHERE state = 'queued' AND coalesce(duration, 0) > ?1"
            f" AND owner IS NULL{OPEN}"
            " AND (anew OR NOT EXISTS (SELECT 1 FROM jobs s WHERE s.content_key = jobs.content_key"
            " AND s.state IN ('delivered', 'done'))) AND (?2 IS NULL OR inbox = ?2)",
            (longest, inbox),
        )
        return int(row[0]) if row else 0

    async def unfiled(self, limit: int) -> list[Job]:
        """The service's songs whose original can't be moved to where it belongs, oldest first."""
        return await self._select(
            f"unfiled IS NOT NULL AND owner IS NULL{OPEN} ORDER BY id LIMIT ?", (limit,)
        )

    async def of_splits(self, limit: int) -> list[Job]:
        """The jobs that a `split` has not ended yet, oldest first."""
        return await self._select(
            f"owner IS NOT NULL AND state IN ({marks(ACTIVE)}){OPEN} ORDER BY id LIMIT ?",
            (*ACTIVE, limit),
        )

    async def history_after(self, rowid: int, limit: int) -> list[tuple[int, int, float, str]]:
        """(rowid, job id, Unix time, state) of the transitions after `rowid`, in order."""
        sql = "SELECT rowid, job_id, at, state FROM history WHERE rowid > ? ORDER BY rowid LIMIT ?"
        return [tuple(row) for row in await self._all(sql, (rowid, limit))]

    async def by_ids(self, ids: Collection[int]) -> dict[int, Job]:
        """Those of these jobs that there are."""
        ids = padded(ids)
        jobs = await self._select(f"id IN ({marks(ids)})", tuple(ids)) if ids else []
        return {job.id: job for job in jobs}

    async def open_audio(self) -> tuple[dict[int, float], int, float]:
        """The service's work: seconds of audio of each submitted job by its id, and what is queued.

        The latter as songs and seconds of audio. Those of a `split` are left out.
        """
        started = await self._all(
            "SELECT id, coalesce(duration, 0) FROM jobs"
            f" WHERE owner IS NULL AND {IS_UNDER_WAY}{OPEN}",
            (),
        )
        queued = await self._one(
            "SELECT count(*), coalesce(sum(duration), 0) FROM jobs"
            f" WHERE owner IS NULL AND state = 'queued'{OPEN}",
            (),
        )
        assert queued is not None  # a sum has always one row
        return {row[0]: float(row[1]) for row in started}, int(queued[0]), float(queued[1])

    async def ended(self, state: JobState, *, since: float = 0.0, limit: int) -> list[Ended]:
        """Songs that were delivered, or came into quarantine, since a time (Unix seconds).

        Newest first; one that came into quarantine twice is there twice.
        """
        return await self._read(past.ended(state, since, limit))

    async def last_history(self) -> int:
        """The rowid of the newest transition; 0: there is none."""
        row = await self._one("SELECT max(rowid) FROM history", ())
        return int(row[0] or 0) if row else 0

    async def with_stems(
        self, *, before: int | None = None, words: Sequence[str] = (), limit: int
    ) -> list[Job]:
        """The newest jobs with a folder in an outbox, whose path below the inbox has all `words`.

        `before`: the id of the last one of the page before.
        """
        found = "".join(" AND CAST(relpath AS TEXT) LIKE ? ESCAPE '\\'" for _ in words)
        return await self._select(
            "state IN ('delivered', 'done') AND delivered_to IS NOT NULL"
            f" AND (?1 IS NULL OR id < ?1){found} ORDER BY id DESC LIMIT {int(limit)}",
            (before, *(f"%{_literally(word)}%" for word in words)),
        )

    async def archived(self, *, before: float, after: tuple[float, int] = (0.0, 0)) -> list[Job]:
        """A page of the service's done jobs with a moved original, the first that was filed first.

        Those that were filed before the wall-clock time `before` (Unix seconds), and behind
        `after`: `updated_at` and id of the last one of the page before.
        """
        return await self._select(
            f"{IS_ARCHIVED} AND updated_at < ? AND (updated_at, id) > (?, ?)"
            " ORDER BY updated_at, id LIMIT ?",
            (before, *after, _PAGE),
        )

    async def filed_again(self, job: Job, *, since: float) -> bool:
        """Whether a later job left the same original at the same place, at `since` or later."""
        sql = (
            "SELECT 1 FROM jobs WHERE content_key >= ? AND content_key < ? AND filed_to = ?"
            " AND id <> ? AND updated_at >= ? LIMIT 1"
        )
        filed_to = job.filed_to and rows.encode_path(job.filed_to)
        for content in {job.content, job.sha256}:  # an older stemwatch knew the bytes only
            keys = f"{content}:", f"{content};"  # of all options
            if await self._one(sql, (*keys, filed_to, job.id, since)) is not None:
                return True
        return False

    async def counts_by_inbox(self) -> dict[str | None, dict[str, int]]:
        """How many jobs of each inbox are in each state; states without any are left out."""
        found: dict[str | None, dict[str, int]] = {}
        sql = "SELECT inbox, state, count(*) FROM jobs GROUP BY inbox, state"
        for inbox, state, count in await self._all(sql, ()):
            found.setdefault(inbox, {})[state] = count
        return found

    async def oldest_queued(self) -> float | None:
        """When the service's oldest queued job was taken in; Unix seconds."""
        row = await self._one(
            "SELECT created_at FROM jobs WHERE state = 'queued' AND owner IS NULL"
            " AND state NOT IN ('done', 'gone') ORDER BY id LIMIT 1",
            (),
        )
        return None if row is None else float(row[0])

    async def check(self) -> None:
        """Read the whole database once; raises JournalFault where it is damaged."""
        try:
            row = await self._one("PRAGMA quick_check(1)", ())
        except StemwatchError as fault:
            raise _unreadable(self.path, fault.__cause__) from fault
        if row is not None and row[0] != "ok":
            raise _unreadable(self.path, row[0])


def _literally(word: str) -> str:
    """`word` inside a LIKE pattern."""
    return re.sub(r"([\\%_])", r"\\\1", word)


def _open(path: str) -> sqlite3.Connection:
    if not os.path.exists(path):
        return _empty()
    try:
        connection = _connect(path, "mode=ro")
        try:
            _read_something(connection)
        except sqlite3.OperationalError:
            connection.close()
            # Nobody has it open, and we may not make the files that WAL readers share.
            if os.path.exists(f"{path}-wal") or os.access(os.path.dirname(path), os.W_OK):
                raise
            connection = _connect(path, "mode=ro&immutable=1")
        return _checked(connection, path)
    except sqlite3.DatabaseError as fault:
        raise _unreadable(path, fault) from fault


def _connect(path: str, how: str) -> sqlite3.Connection:
    # Quoted bytes: a folder may have a name that is not UTF-8, or a "?" in it.
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?{how}",
        uri=True,
        timeout=schema.BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    return connection


def _checked(connection: sqlite3.Connection, path: str) -> sqlite3.Connection:
    version, tables = _read_something(connection)
    if tables == 0:  # the service is just making it, or was stopped while it did
        connection.close()
        return _empty()
    known = len(schema.MIGRATIONS) + 1
    if version != known or connection.execute("PRAGMA application_id").fetchone()[0] != (
        schema.APPLICATION_ID
    ):
        connection.close()
        raise JournalFault(
            f"the journal {path} has version {version}; this stemwatch reads version {known}.",
            hint="`stemwatch run` of this version brings an older one up to date; a newer one "
            "needs the stemwatch that made it.",
        )
    return connection


def _read_something(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return (version, number of tables); at this first read, an unreadable file fails."""
    # The tables first: the service may make both between the two reads, at once.
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return connection.execute("PRAGMA user_version").fetchone()[0], tables


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.executescript(schema.script())
    for step in schema.MIGRATIONS:
        step(connection)
    return connection


def _unreadable(path: str, why: object) -> JournalFault:
    return JournalFault(
        f"the journal {path} can't be read by uid {os.geteuid()}: {why}.",
        hint="It was left as it is. If the account is right, `stemwatch run` says how to mend it.",
    )
