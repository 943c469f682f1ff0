"""A Job comes back from its row as it went in, whatever its paths and options hold."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemwatch.heard import Heard
from stemwatch.job import Identity, JobState, Options
from stemwatch.journal import rows, schema, transactions
from tests.support.journal import new_job

NAMES = st.binary(min_size=1, max_size=60).filter(lambda raw: not {0, 0x2F} & set(raw))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBERS = st.integers(0, 2**63 - 1)


def _database(path: Path) -> sqlite3.Connection:
    schema.prepare(str(path))
    return schema.connect(str(path))


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    name=NAMES,
    identity=st.builds(Identity, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    words=WORDS,
    mixes=st.dictionaries(WORDS, st.lists(WORDS, min_size=1).map(tuple), max_size=2),
    numbers=st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_job_comes_back_as_it_was(
    tmp_path: Path,
    name: bytes,
    identity: Identity,
    words: str,
    mixes: dict[str, tuple[str, ...]],
    numbers: float,
) -> None:
    """Names that are no UTF-8, 64-bit inodes, any mix and any float survive the database."""
    path = os.fsdecode(b"/inbox/" + name)
    job = new_job(
        path=path,
        relpath=os.fsdecode(name),
        delivered_to=path,
        identity=identity,
        options=Options(stems=6, format="flac", mixes=mixes, stem_file="alac"),
        message=words,
        key=words,
        bpm=numbers,
        heard=Heard(-12.5, 0.25, None, 1.5),
        not_before=numbers,
    )
    with closing(_database(tmp_path / "journal")) as db:
        added = transactions.add(db, job, 5.0)
        row = db.execute("SELECT * FROM jobs WHERE id = ?", (added.id,)).fetchone()
        assert rows.decode(row) == added == job.evolve(id=added.id, created_at=5.0, updated_at=5.0)


def test_options_of_before_there_were_stem_files_are_read(tmp_path: Path) -> None:
    """A journal of an older stemwatch has jobs that say nothing of them."""
    with closing(_database(tmp_path / "journal")) as db:
        transactions.add(db, new_job(), 5.0)
        db.execute("""UPDATE jobs SET options = '{"stems": 4, "format": "wav", "mixes": {}}'""")
        row = db.execute("SELECT * FROM jobs").fetchone()
    assert rows.decode(row).options == Options(stems=4)


def test_a_name_that_is_not_utf8_may_be_in_any_text(tmp_path: Path) -> None:
    """What is said about such a song is kept readable: as a fault of its own it ended the pool."""
    name = os.fsdecode(b"caf\xe9.wav")
    texts = (
        "codec",
        "remote_id",
        "engine",
        "model",
        "model_sha256",
        "key",
        "code",
        "message",
        "hint",
        "request_id",
    )
    said = dict.fromkeys(texts, f"{name} is gone")
    with closing(_database(tmp_path / "journal")) as db:
        job = transactions.add(db, new_job(path=f"/inbox/{name}", relpath=name, **said), 5.0)
        job = transactions.update(db, job, job.state, said, 6.0)
        transactions.advance(db, job, JobState.GONE, said["message"], {}, 7.0)
        stored = rows.decode(db.execute("SELECT * FROM jobs").fetchone())
        notes = [row[0] for row in db.execute("SELECT note FROM history ORDER BY rowid")]
    assert {getattr(stored, column) for column in texts} == {r"caf\udce9.wav is gone"}
    assert (stored.relpath, notes) == (name, [r"caf\udce9.wav is gone"] * 2)


def test_every_state_is_one_that_the_database_takes(tmp_path: Path) -> None:
    """The schema's own list of states is the program's list."""
    with closing(_database(tmp_path / "journal")) as db:
        for number, state in enumerate(JobState):
            transactions.add(db, new_job(number, state=state), 1.0)
        stored = {row[0] for row in db.execute("SELECT state FROM jobs")}
    assert stored == {str(state) for state in JobState}


def test_a_copy_of_a_job_has_no_fields_of_its_own() -> None:
    """A misspelt name is an error before it is a column that does not exist."""
    job = new_job()
    assert job.evolve(attempts=3) == replace(job, attempts=3)
    assert job.attempts == 0
    with pytest.raises(TypeError, match="attemps"):
        job.evolve(attemps=3)
