"""Songs that nobody wants any more: killed half-way, met by the service, without an archive."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stemwatch import config
from stemwatch.config import Settings
from stemwatch.errors import PauseService
from stemwatch.job import Identity, Job, JobState
from stemwatch.journal.journal import Journal
from stemwatch.operations.ended.putting_aside import put_aside
from stemwatch.operations.mounted_folders import Disks
from stemwatch.operations.retrying import NotNow
from tests.support.commands import Home, a_job
from tests.support.waiting import wait_for

Work = Callable[[Journal, Settings, Job], Coroutine[Any, Any, None]]


def run(home: Home, file: Path, work: Work, **fields: Any) -> None:
    """With a journaled job of this file."""

    async def begin() -> None:
        settings = config.load(os.fspath(home.config), env={"HOME": os.fspath(home.root)})
        journal = Journal(os.fspath(home.state / "journal.sqlite3"))
        try:
            given = {"path": os.fspath(file), "outbox": os.fspath(home.outbox), **fields}
            job = await journal.add(a_job(file.name, Identity.of(file.lstat()), **given))
            await work(journal, settings, job)
        finally:
            journal.close()

    asyncio.run(begin())


def song(folder: Path) -> Path:
    path = folder / "Song.wav"
    path.write_bytes(b"a song")
    return path


def test_a_killed_call_is_done_again(tmp_path: Path) -> None:
    """The file is in the archive already, the journal does not know: found there, not missed."""
    home = Home(tmp_path)
    held = song(home.quarantine)
    held.with_name("Song.wav.reason.json").write_text("{}")  # a person's: it stays

    async def twice(journal: Journal, settings: Settings, job: Job) -> None:
        os.rename(held, home.archive / "Song.wav")
        aside = await put_aside(journal, job, settings, Disks(journal), running=False)
        assert (aside.job.state, aside.path) == (JobState.GONE, str(home.archive / "Song.wav"))

    was = {"path": os.fspath(home.inbox / "Song.wav"), "filed_to": os.fspath(held)}
    run(home, held, twice, state=JobState.QUARANTINED, code="not_audio", **was)
    assert [one.name for one in home.quarantine.iterdir()] == ["Song.wav.reason.json"]


def test_what_is_there_in_the_archive_is_never_replaced(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.archive / "Song.wav").write_bytes(b"another song")

    async def aside(journal: Journal, settings: Settings, job: Job) -> None:
        found = await put_aside(journal, job, settings, Disks(journal), running=False)
        assert found.path is not None
        assert Path(found.path).read_bytes() == b"a song"

    run(home, song(home.inbox), aside)
    assert (home.archive / "Song.wav").read_bytes() == b"another song"
    assert len(list(home.archive.iterdir())) == 2


def test_the_service_may_be_there_first(tmp_path: Path) -> None:
    """It ended the job, or the song was submitted while a disk was slow: no file is touched."""
    home = Home(tmp_path)

    async def ended(journal: Journal, settings: Settings, job: Job) -> None:
        await journal.advance(job, JobState.GONE, "taken back")
        aside = await put_aside(journal, job, settings, Disks(journal), running=True)
        assert (aside.job.state, aside.path) == (JobState.GONE, None)

    run(home, song(home.inbox), ended)

    async def submitted(journal: Journal, settings: Settings, job: Job) -> None:
        await journal.advance(job, JobState.SUBMITTING)
        with pytest.raises(NotNow, match="is submitting by now"):
            await put_aside(journal, job, settings, Disks(journal), running=True)

    other = home.inbox / "Other.wav"
    other.write_bytes(b"another song")
    run(home, other, submitted)
    assert sorted(home.inbox.iterdir()) == [other, home.inbox / "Song.wav"]


def test_what_was_retried_meanwhile_keeps_its_file(tmp_path: Path) -> None:
    """It stayed in the inbox, so it is submitted from there."""
    home = Home(tmp_path)
    stays = song(home.inbox)

    async def retried(journal: Journal, settings: Settings, job: Job) -> None:
        await journal.advance(job, JobState.QUEUED, filed_to=None)
        with pytest.raises(NotNow):
            await put_aside(journal, job, settings, Disks(journal), running=False)

    was = {"filed_to": os.fspath(stays), "code": "bad_stem"}
    run(home, stays, retried, state=JobState.QUARANTINED, **was)
    assert stays.exists()


@pytest.mark.parametrize("state", ["submitting", "quarantined", "gone"])
def test_the_service_may_be_between_the_file_and_the_journal(tmp_path: Path, state: str) -> None:
    """Then the file is where it would go in the end, and the song goes on, or is ended."""
    home = Home(tmp_path)

    async def meanwhile(journal: Journal, settings: Settings, job: Job) -> None:
        disks, inbox = Disks(journal), settings.every_inbox[0]
        await disks.require(inbox, inbox.folders.archive)  # notes them, which it can't while locked
        with closing(sqlite3.connect(home.database, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            aside = asyncio.create_task(put_aside(journal, job, settings, disks, running=True))
            await asyncio.to_thread(wait_for, (home.archive / "Song.wav").exists)
            db.execute("UPDATE jobs SET state = ?", (state,))
            db.execute("COMMIT")
        if state == "gone":
            assert (await aside).path == str(home.archive / "Song.wav")
            return
        with pytest.raises(NotNow, match=r"is (submitting|in quarantine) by now"):
            await aside

    run(home, song(home.inbox), meanwhile)


def test_a_song_in_quarantine_needs_no_inbox(tmp_path: Path) -> None:
    """Its share may be away for good. Where the file is not found, it may be back in there."""
    home = Home(tmp_path)
    held = song(home.quarantine)
    home.inbox.rmdir()

    async def twice(journal: Journal, settings: Settings, job: Job) -> None:
        away = held.rename(tmp_path / "away")
        with pytest.raises(PauseService) as told:
            await put_aside(journal, job, settings, Disks(journal), running=False)
        assert told.value.code == "inbox"
        assert (await journal.get(job.id) or job).state is JobState.QUARANTINED
        away.rename(held)
        aside = await put_aside(journal, job, settings, Disks(journal), running=False)
        assert (aside.job.state, aside.path) == (JobState.GONE, str(home.archive / "Song.wav"))

    was = {"path": os.fspath(home.inbox / "Song.wav"), "filed_to": os.fspath(held)}
    run(home, held, twice, state=JobState.QUARANTINED, code="not_audio", **was)


def test_without_an_archive_it_stays(tmp_path: Path) -> None:
    """Nothing is ever deleted for want of a place."""
    home = Home(tmp_path)
    text = home.config.read_text().replace(
        "archive: archive", "archive: archive, after_success: keep"
    )
    home.config.write_text(text)

    async def keep(journal: Journal, settings: Settings, job: Job) -> None:
        with pytest.raises(NotNow, match="has no archive") as told:
            await put_aside(journal, job, settings, Disks(journal), running=False)
        assert told.value.hint.startswith(f"Move {job.path} out of the inbox")
        assert "discard" not in told.value.hint  # which is for songs in quarantine
        assert (await journal.get(job.id) or job).state is JobState.QUEUED

    run(home, song(home.inbox), keep)
    assert (home.inbox / "Song.wav").exists()
