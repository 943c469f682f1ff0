"""A journal whose making was cut short by a kill opens at the next start."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stemwatch.job import Job
from stemwatch.journal import schema
from stemwatch.journal.read_only import ReadOnlyJournal

# Small cache: pages reach the file, and the rollback journal stays beside it when the kill comes.
_KILLED = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
db.execute("CREATE TABLE jobs (id)")
db.executemany("INSERT INTO jobs VALUES (randomblob(500))", [()] * 1000)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_write_that_a_kill_cut_short_is_undone_at_the_next_start(tmp_path: Path) -> None:
    """The kill sweep found it refused for ever: a reader alone may not undo the half-made write."""
    path = str(tmp_path / "journal.sqlite3")
    subprocess.run([sys.executable, "-c", _KILLED, path], check=False)
    assert (tmp_path / "journal.sqlite3-journal").exists()
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("PRAGMA application_id").fetchone()
    schema.prepare(path)
    with closing(schema.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM jobs").fetchone()[0] == 0
        assert db.execute("PRAGMA application_id").fetchone()[0] == schema.APPLICATION_ID


async def read(journal: ReadOnlyJournal) -> list[Job]:
    return list(await journal.unfiled(9))


def test_a_journal_that_is_made_between_two_reads_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`status` beside the first start said that it has version 0."""
    path = str(tmp_path / "journal.sqlite3")
    open(path, "wb").close()
    connect, seen = sqlite3.connect, list[str]()

    def traced(*where: Any, **how: Any) -> sqlite3.Connection:
        monkeypatch.setattr(sqlite3, "connect", connect)
        connection = connect(*where, **how)
        connection.set_trace_callback(told)
        return connection

    def told(sql: str) -> None:
        seen.append(sql)
        if len(seen) == 4:  # the check's second read; two others show that the file can be read
            schema.prepare(path)

    monkeypatch.setattr(sqlite3, "connect", traced)
    with closing(ReadOnlyJournal(path)) as journal:
        assert asyncio.run(read(journal)) == []
    assert len(seen) == 4
