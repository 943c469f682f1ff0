"""`again` while a disk is away; what it does otherwise is in `tests/acceptance/test_again.py`."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stemwatch.job import Identity, JobState
from tests.support.commands import Home, a_job


@pytest.mark.parametrize(
    ("away", "words"), [("inbox", "is not there"), ("archive", "is not mounted")]
)
def test_a_disk_that_is_away_is_no_place_for_an_original(
    tmp_path: Path, away: str, words: str
) -> None:
    """Neither is it put below the mount point, nor said to be lost. No job is made for it."""
    home = Home(tmp_path)
    filed = home.archive / "a.mp3"
    filed.write_bytes(b"song")
    job = a_job("a.mp3", Identity.of(filed.lstat()), state=JobState.DONE)
    folders = {"path": os.fspath(home.inbox / "a.mp3"), "outbox": os.fspath(home.outbox)}
    told = {"filed_to": os.fspath(filed), "delivered_to": os.fspath(home.outbox / "a")}
    content = hashlib.sha256(b"song").hexdigest()
    home.journal(job.evolve(sha256=content, **folders, **told))
    if away == "archive":
        filed.rename(tmp_path / "away.mp3")
    home.mount_away(tmp_path / away)
    refused = home.run("again", "a.mp3")
    assert (refused.returncode, words in refused.stderr) == (1, True), refused.stderr
    assert list(home.inbox.iterdir()) == []
    assert filed.exists() == (away == "inbox")
    with closing(sqlite3.connect(home.database)) as db:
        assert db.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
