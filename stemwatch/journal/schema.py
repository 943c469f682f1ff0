"""Opens the journal's database: creates it, migrates an older one, refuses what it can't read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from urllib.parse import quote

from stemwatch.errors import JournalFault

JOURNAL = "journal.sqlite3"  # its name in the state directory
APPLICATION_ID = 0x5357_4A31  # "SWJ1": tells our database from any other file
BUSY_SECONDS = 30.0  # `split` and the service share the journal; a commit takes milliseconds

# Jobs whose content can't be submitted again. SQLite uses the index `paid_once` only for a query
# that holds this very text.
IS_UNDER_WAY = "(state = 'submitting' OR state = 'separating' OR state = 'separated')"
# Jobs whose original was moved away and is still there, as far as we know. As above, by the index
# `jobs_archived`.
IS_ARCHIVED = "state = 'done' AND origin = 'inbox' AND length(filed_to) > 0 AND filed_to <> path"

Migration = Callable[[sqlite3.Connection], object]
# MIGRATIONS[n] takes the database from version n+1 to n+2; version 1 is schema.sql.
MIGRATIONS: Sequence[Migration] = (
    lambda db: db.execute("ALTER TABLE jobs ADD COLUMN credits REAL"),  # seconds of audio, charged
    lambda db: _add_inboxes(db),
    lambda db: _lighten(db),
    lambda db: db.execute("ALTER TABLE jobs ADD COLUMN unfiled TEXT"),  # JSON of job.Unfiled
    lambda db: _add_models(db),
    lambda db: db.execute("ALTER TABLE jobs ADD COLUMN audio_sha256 TEXT"),
    lambda db: db.execute("ALTER TABLE jobs ADD COLUMN anew INTEGER NOT NULL DEFAULT 0"),
    lambda db: db.execute("ALTER TABLE jobs ADD COLUMN song_tags TEXT"),  # JSON
    lambda db: _add_uploaded(db),
    lambda db: _add_first(db),
    lambda db: _add_at_hand(db),
    lambda db: db.execute("ALTER TABLE jobs ADD COLUMN heard TEXT"),  # JSON of heard.Heard
    lambda db: _add_done(db),
    lambda db: _add_archived(db),
)


def _add_inboxes(db: sqlite3.Connection) -> None:
    """Add the inbox to each song and to each booking; null: the only inbox there is."""
    db.execute("ALTER TABLE jobs ADD COLUMN inbox TEXT")
    db.execute("ALTER TABLE spend ADD COLUMN inbox TEXT")
    # Thousands of songs that wait in one inbox must not be read to find that another has none.
    db.execute(
        "CREATE INDEX jobs_of_inbox ON jobs (inbox, state, id) WHERE state NOT IN ('done', 'gone')"
    )


def _add_models(db: sqlite3.Connection) -> None:
    """Which weights made the stems."""
    db.execute("ALTER TABLE jobs ADD COLUMN model TEXT")
    db.execute("ALTER TABLE jobs ADD COLUMN model_sha256 TEXT")


def _add_uploaded(db: sqlite3.Connection) -> None:
    """What was sent of the song, which may be a FLAC of it; null: an older submission."""
    db.execute("ALTER TABLE jobs ADD COLUMN uploaded_codec TEXT")
    db.execute("ALTER TABLE jobs ADD COLUMN uploaded_bytes INTEGER")


def _add_first(db: sqlite3.Connection) -> None:
    """When `stemwatch first` put a song before all others that wait; null: it did not."""
    db.execute("ALTER TABLE jobs ADD COLUMN first_at REAL")
    # The few that go first are found without a look at the thousands behind them.
    db.execute("CREATE INDEX jobs_first ON jobs (first_at) WHERE first_at IS NOT NULL")


def _add_at_hand(db: sqlite3.Connection) -> None:
    """Songs that have their stems already are found without a look at all that wait for others."""
    db.execute(
        "CREATE INDEX jobs_at_hand ON jobs (id) WHERE state = 'queued' AND engine = 'stem-file'"
    )


def _add_done(db: sqlite3.Connection) -> None:
    """What was done today is counted without a look at all that was done in years."""
    db.execute("CREATE INDEX jobs_done ON jobs (updated_at) WHERE state = 'done'")


def _add_archived(db: sqlite3.Connection) -> None:
    """Old originals are found, every ten minutes, without a look at all that was ever done."""
    db.execute(f"CREATE INDEX jobs_archived ON jobs (updated_at) WHERE {IS_ARCHIVED}")


def _lighten(db: sqlite3.Connection) -> None:
    """Replace three indexes: a transition costs half as much, and the pool's queries no more."""
    # SQLite builds a table for each longer IN list, at each row that is written.
    db.execute("DROP INDEX paid_once")
    db.execute(f"CREATE UNIQUE INDEX paid_once ON jobs (content_key) WHERE {IS_UNDER_WAY}")
    # A song has few copies, so the index needs no state. A change of state then doesn't rewrite it.
    db.execute("DROP INDEX jobs_by_content")
    db.execute("CREATE INDEX jobs_by_content ON jobs (content_key)")
    # Nearly every song is due at once: only those that are not are looked up by time.
    db.execute("DROP INDEX jobs_due")
    db.execute(
        "CREATE INDEX jobs_due ON jobs (state, not_before)"
        " WHERE not_before > 0 AND state NOT IN ('done', 'gone')"
    )


def connect(path: str) -> sqlite3.Connection:
    """One connection in WAL mode with synchronous FULL: a commit survives a power cut."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    # NORMAL lost every commit of a power-cut test; FULL lost none.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # The CHECK on `state` is for people who write here with another tool. We write only JobStates,
    # and SQLite would build a table of those words for each row.
    connection.execute("PRAGMA ignore_check_constraints = ON")
    # KiB, not the usual 2 MB: that would be kept for years, and the system caches the file too.
    connection.execute("PRAGMA cache_size = -512")
    return connection


def prepare(path: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make the database at `path` ready for use, whatever its age. Raises JournalFault."""
    try:
        if os.path.exists(path):
            # Read-only: connecting as we do below would already rewrite a foreign file's header.
            with closing(_existing(path)) as old:
                _check(old, path, len(migrations) + 1)
        with closing(connect(path)) as connection:
            _migrate(connection, path, migrations)
    except sqlite3.DatabaseError as fault:
        raise JournalFault(
            f"the journal {path} can't be opened: {fault}.", hint=_hint(path, fault)
        ) from fault


def _existing(path: str) -> sqlite3.Connection:
    """The database as it is; written to only where a kill left a write half done."""
    connection = _open(path, "ro")
    try:
        connection.execute("PRAGMA application_id").fetchone()
    except sqlite3.DatabaseError as fault:
        connection.close()
        # Killed while it was made: nobody can read it until a writer has undone that write.
        if (getattr(fault, "sqlite_errorcode", None) or 0) & 0xFF != sqlite3.SQLITE_READONLY:
            raise
        return _open(path, "rw")
    return connection


def _open(path: str, mode: str) -> sqlite3.Connection:
    name = f"file:{quote(os.fsencode(path))}?mode={mode}"
    return sqlite3.connect(name, uri=True, timeout=BUSY_SECONDS)


def _hint(path: str, fault: sqlite3.DatabaseError) -> str:
    if isinstance(fault, sqlite3.OperationalError):
        return f"Check that {os.path.dirname(path)} is writable and its disk is not full."
    return _REBUILD.format(path=path)


_REBUILD = (
    "It was left as it is. Move it away (`mv {path} {path}.corrupt`) and start again: what was "
    "delivered is read back from the sidecars in the outbox, so it is not paid for again."
)


def _check(connection: sqlite3.Connection, path: str, latest: int) -> None:
    """A damaged journal is reported and never written to: it may still be worth a rescue."""
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and found != APPLICATION_ID:
        raise JournalFault(
            f"{path} is a database, but not a stemwatch journal.",
            hint="Set `state_dir` to a folder of its own.",
        )
    _require_known(connection, path, latest)
    result = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if result != "ok":
        raise JournalFault(
            f"the journal {path} is corrupt: {result}.", hint=_REBUILD.format(path=path)
        )


def _migrate(connection: sqlite3.Connection, path: str, migrations: Sequence[Migration]) -> None:
    latest = len(migrations) + 1
    connection.execute("BEGIN IMMEDIATE")  # two processes may open a new journal at once
    try:
        version = _require_known(connection, path, latest)
        if version == 0:
            _create(connection)
            version = 1
        for step in migrations[version - 1 :]:
            step(connection)
        # In the same transaction as the change: a kill leaves the old version, whole.
        connection.execute(f"PRAGMA user_version = {latest}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _require_known(connection: sqlite3.Connection, path: str, latest: int) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > latest:
        raise JournalFault(
            f"the journal {path} has version {version}; this stemwatch knows up to {latest}.",
            hint="Install the newer stemwatch again, or set another `state_dir`.",
        )
    return version


def script() -> str:
    """schema.sql: the tables of version 1."""
    from importlib.resources import files  # only where a journal is made

    return files("stemwatch.journal").joinpath("schema.sql").read_text(encoding="utf-8")


def _create(connection: sqlite3.Connection) -> None:
    for statement in _statements(script()):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _statements(script: str) -> list[str]:
    """Single statements: `executescript` would commit the transaction they belong to."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
