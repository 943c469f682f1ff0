"""Opening a journal: new, older, newer, damaged, or no journal at all."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from stemwatch.errors import JournalFault
from stemwatch.job import Job, JobState
from stemwatch.journal import rows, schema
from stemwatch.journal.journal import Journal
from tests.support.journal import new_job

NOW = len(schema.MIGRATIONS) + 1  # this version


def _with_a_job(path: Path) -> Job:
    async def add() -> Job:
        journal = Journal(str(path))
        try:
            return await journal.add(new_job())
        finally:
            journal.close()

    return asyncio.run(add())


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def _contents(folder: Path) -> dict[str, bytes]:
    """Every file that holds something; readers may make an empty log and shared memory."""
    files = (p for p in folder.iterdir() if p.stat().st_size and not p.name.endswith("-shm"))
    return {p.name: p.read_bytes() for p in files}


def _add_mood(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE jobs ADD COLUMN mood TEXT")


def _set_mood(db: sqlite3.Connection) -> None:
    db.execute("UPDATE jobs SET mood = 'fine'")


def test_an_older_journal_is_brought_up_to_date_step_by_step(tmp_path: Path) -> None:
    """Every missing step runs once, in order, and the jobs are still there."""
    path = tmp_path / "journal"
    _with_a_job(path)
    assert _version(path) == NOW
    schema.prepare(str(path), (*schema.MIGRATIONS, _add_mood))
    assert _version(path) == NOW + 1
    schema.prepare(str(path), (*schema.MIGRATIONS, _add_mood, _set_mood))
    schema.prepare(str(path), (*schema.MIGRATIONS, _add_mood, _set_mood))
    assert _version(path) == NOW + 2
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT mood FROM jobs").fetchall() == [("fine",)]


LATER = {"credits", "inbox", "unfiled", "model", "model_sha256"} | {
    "audio_sha256", "anew", "song_tags", "first_at", "heard",
}  # fmt: skip


def test_the_first_version_is_brought_up_to_date_with_its_jobs(tmp_path: Path) -> None:
    """What version 0.1 wrote is read by this one, what it did not know being null."""
    path = tmp_path / "journal"
    schema.prepare(str(path), ())
    values = {
        name: value
        for name, value in rows.encode(
            {name: getattr(new_job().evolve(id=1), name) for name in rows.COLUMNS}
        ).items()
        if name not in LATER and not name.startswith("uploaded_")
    }
    with closing(sqlite3.connect(path)) as db:
        marks = ", ".join("?" * len(values))
        db.execute(f"INSERT INTO jobs ({', '.join(values)}) VALUES ({marks})", (*values.values(),))
        db.commit()
    assert _version(path) == 1
    journal = Journal(str(path))
    try:
        (job,) = asyncio.run(journal.in_states((JobState.QUEUED,)))
    finally:
        journal.close()
    assert (job.credits, job.inbox, job.sha256) == (None, None, new_job().sha256)
    assert _version(path) == NOW


def test_a_migration_that_fails_leaves_the_old_version_whole(tmp_path: Path) -> None:
    """What an interrupted migration did is undone with it."""
    path = tmp_path / "journal"
    job = _with_a_job(path)

    def breaks(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM history")
        db.execute("DELETE FROM jobs")
        db.execute("no SQL at all")

    with pytest.raises(JournalFault):
        schema.prepare(str(path), (*schema.MIGRATIONS, _add_mood, breaks))
    assert _version(path) == NOW
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT id FROM jobs").fetchall() == [(job.id,)]
        columns = [row[1] for row in db.execute("PRAGMA table_info(jobs)")]
    assert "mood" not in columns


def test_a_newer_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    """An older stemwatch does not touch what it can't understand, and says what to do."""
    path = tmp_path / "journal"
    _with_a_job(path)
    schema.prepare(str(path), (*schema.MIGRATIONS, _add_mood))
    before = _contents(tmp_path)
    with pytest.raises(
        JournalFault, match=f"version {NOW + 1}; this stemwatch knows up to {NOW}"
    ) as fault:
        Journal(str(path))
    assert "newer stemwatch" in fault.value.hint
    assert _contents(tmp_path) == before


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Somebody else's SQLite file under our name keeps every byte, its journal mode too."""
    path = tmp_path / "journal"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
        db.commit()
    before = _contents(tmp_path)
    with pytest.raises(JournalFault, match="not a stemwatch journal") as fault:
        Journal(str(path))
    assert "state_dir" in fault.value.hint
    assert _contents(tmp_path) == before


@pytest.mark.parametrize("damage", ["no database", "cut short", "a page overwritten"])
def test_a_damaged_journal_is_reported_and_never_written_to(tmp_path: Path, damage: str) -> None:
    """It may still be worth a rescue: the fault names it and says how to start without it."""
    path = tmp_path / "journal"
    _with_a_job(path)
    whole = path.read_bytes()
    if damage == "no database":
        path.write_bytes(b"this is not a database, whatever its name says\n" * 200)
    elif damage == "cut short":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.write_bytes(whole[:4096] + b"\xa5" * 4096 * 3 + whole[4096 * 4 :])
    before = _contents(tmp_path)
    with pytest.raises(JournalFault) as fault:
        Journal(str(path))
    assert str(path) in fault.value.message
    assert f"mv {path} {path}.corrupt" in fault.value.hint
    assert _contents(tmp_path) == before


def test_a_folder_that_can_not_be_written_is_told_apart_from_damage() -> None:
    """No file can be made in /proc: the hint speaks of the folder, not of a rescue."""
    with pytest.raises(JournalFault) as fault:
        schema.prepare("/proc/journal.sqlite3")
    assert "writable" in fault.value.hint


@pytest.mark.parametrize("name", ["jour?nal#1%20.db", os.fsdecode(b"jour\xe9nal.db")])
def test_any_name_of_a_state_folder_can_be_opened_again(tmp_path: Path, name: str) -> None:
    """Question marks, escapes and bytes that are no UTF-8 mean nothing special in a path."""
    folder = tmp_path / name
    folder.mkdir()
    first = _with_a_job(folder / "journal")
    assert _with_a_job(folder / "journal").id == first.id + 1


_WRITE_AND_DIE = """
import asyncio, os, signal, sys
from stemwatch.journal.journal import Journal
from tests.support.journal import new_job

async def main():
    journal = Journal(sys.argv[1])
    for number in range(20):
        job = await journal.add(new_job(number))
        print(job.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_what_was_confirmed_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    """Also where only the database and its write-ahead log were saved, without shared memory."""
    path = tmp_path / "journal"
    command = [sys.executable, "-c", _WRITE_AND_DIE, str(path)]
    died = subprocess.run(command, capture_output=True, text=True, check=False)
    confirmed = died.stdout.split()
    assert len(confirmed) == 20, died.stderr
    assert (tmp_path / "journal-wal").stat().st_size > 0
    (tmp_path / "journal-shm").unlink()
    assert _with_a_job(path).id == 21
