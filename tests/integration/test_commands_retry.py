"""`retry` with real files in a real quarantine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from stemwatch import config
from stemwatch.job import JobState
from stemwatch.journal.journal import Journal
from stemwatch.operations.mounted_folders import Disks
from stemwatch.operations.retrying import NotNow, bring_back
from stemwatch.outbox.quarantine import reason_bytes
from tests.faults.disks import Tmpfs, why_no_mounts
from tests.support.commands import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_without_names_it_lists(home: Home) -> None:
    """What could be retried, and nothing happens to it."""
    job = home.quarantined("a.mp3")
    told = home.run("retry")
    assert told.returncode == 0
    assert f"{job.id} a.mp3 (bad_stem" in told.stdout
    assert home.job(job.id).state is JobState.QUARANTINED


def test_an_empty_quarantine_is_told_and_no_journal_is_made(home: Home) -> None:
    """Exit 0: there is nothing wrong."""
    told = home.run("retry", "--all")
    assert (told.returncode, told.stdout) == (0, "Nothing is in quarantine.\n")
    assert not home.database.exists()


def test_a_paid_song_goes_on_where_it_was(home: Home) -> None:
    """The file is back in the inbox, the job asks for its remote job again, reasons are gone."""
    job = home.quarantined("live/a.mp3", remote_id="job_1", completed_at=5.0, attempts=3)
    told = home.run("retry", "live/a.mp3")
    assert told.returncode == 0, told.stderr
    now = home.job(job.id)
    assert now.state is JobState.SEPARATED
    assert now.remote_id == "job_1"
    assert (now.filed_to, now.code, now.attempts) == (None, None, 0)
    assert now.path == os.fspath(home.inbox / "live" / "a.mp3")
    assert Path(now.path).read_bytes() == b"song"
    assert now.identity.inode == Path(now.path).stat().st_ino
    assert not (home.quarantine / "live" / "a.mp3").exists()


def test_a_taken_name_in_the_inbox_is_not_overwritten(home: Home) -> None:
    """The restored song gets another name, and the job knows it."""
    job = home.quarantined("a.mp3")
    (home.inbox / "a.mp3").write_bytes(b"another song")
    assert home.run("retry", str(job.id)).returncode == 0
    now = home.job(job.id)
    assert (home.inbox / "a.mp3").read_bytes() == b"another song"
    assert Path(now.path).read_bytes() == b"song"
    assert now.relpath == os.path.basename(now.path) != "a.mp3"
    assert now.state is JobState.QUEUED


def test_all_brings_everything_back(home: Home) -> None:
    """Failed separations start anew, without the old remote job."""
    first = home.quarantined("a.mp3", remote_id="job_1", code="separation_failed")
    second = home.quarantined("b.mp3", content=b"other", content_key="b", remote_id="job_2")
    told = home.run("retry", "--all")
    assert told.returncode == 0
    assert told.stdout.endswith("they go on when `stemwatch run` is started.\n")
    assert home.job(first.id).state is JobState.QUEUED
    assert home.job(first.id).remote_id is None
    assert home.job(second.id).state is JobState.SEPARATING


def test_what_was_never_measured_is_looked_at_again(home: Home) -> None:
    """A file that the intake refused must pass the intake again, not the API."""
    job = home.quarantined("a.mp3", duration=None, sha256="", code="too_large")
    assert home.run("retry", "a.mp3").returncode == 0
    assert home.job(job.id).state is JobState.GONE
    assert (home.inbox / "a.mp3").read_bytes() == b"song"
    assert "Queue: empty\n" in home.run("status").stdout  # nobody has taken it back


def test_a_file_that_stayed_in_the_inbox_stays(home: Home) -> None:
    """One that could not be moved is retried in its place."""
    job = home.quarantined("a.mp3")
    kept = home.inbox / "a.mp3"
    (home.quarantine / "a.mp3").rename(kept)
    stays = home.journal(job.evolve(filed_to=os.fspath(kept), content_key="x"))[0]
    assert home.run("retry", str(stays.id)).returncode == 0
    assert kept.read_bytes() == b"song"
    assert home.job(stays.id).state is JobState.QUEUED


def test_a_split_job_keeps_its_file_and_owner(home: Home) -> None:
    """`split` itself adopts it, where its file lies."""
    song = home.root / "mine.mp3"
    job = home.quarantined("mine.mp3")
    (home.quarantine / "mine.mp3").rename(song)
    theirs = home.journal(
        job.evolve(
            origin="split",
            owner="split-1",
            path=os.fspath(song),
            filed_to=os.fspath(song),
            content_key="x",
            remote_id="job_9",
        )
    )[0]
    told = home.run("retry", str(theirs.id))
    assert told.returncode == 0, told.stderr
    assert "stemwatch split" in told.stdout
    assert "stemwatch run" not in told.stdout  # the service never takes it up
    now = home.job(theirs.id)
    assert (now.state, now.owner, now.path) == (JobState.SEPARATING, "split-1", os.fspath(song))
    assert song.read_bytes() == b"song"


def test_what_may_be_charged_again_needs_a_yes(home: Home) -> None:
    """Nobody to ask: exit 2, and nothing at all is touched; --yes decides."""
    sure = home.quarantined("sure.mp3")
    doubtful = home.quarantined(
        "doubtful.mp3", code="submission_unconfirmed", idempotency_key="k", content_key="d"
    )
    told = home.run("retry", "--all")
    assert told.returncode == 2
    assert "may have been charged" in told.stderr
    assert home.job(sure.id).state is JobState.QUARANTINED
    assert home.run("retry", "--all", "--yes").returncode == 0
    assert home.job(sure.id).state is JobState.QUEUED
    again = home.job(doubtful.id)
    assert (again.state, again.idempotency_key) == (JobState.QUEUED, "k")


def test_unknown_and_ambiguous_names_touch_nothing(home: Home) -> None:
    """Exit 1 with the nearest names, exit 2 with the ids to choose from."""
    one = home.quarantined("song.mp3")
    two = home.quarantined("live/song.mp3", content_key="other")
    unknown = home.run("retry", "sonk.mp3")
    assert unknown.returncode == 1
    assert "Did you mean song.mp3" in unknown.stderr
    several = home.run("retry", "song.mp3")
    assert several.returncode == 2
    assert f"  {one.id}  " in several.stderr
    assert f"  {two.id}  " in several.stderr
    assert home.job(one.id).state is JobState.QUARANTINED
    assert home.run("retry", "x", "--all").returncode == 2


def test_a_vanished_file_can_be_forgotten(home: Home) -> None:
    """It says so and names the way; --forget strikes it."""
    job = home.quarantined("a.mp3")
    (home.quarantine / "a.mp3").unlink()
    told = home.run("retry", "a.mp3")
    assert told.returncode == 1
    assert "is no longer there" in told.stderr
    assert f"stemwatch retry --forget {job.id}" in told.stderr
    assert home.run("retry", "--forget", "a.mp3").returncode == 0
    assert home.job(job.id).state is JobState.GONE


@pytest.mark.parametrize("everything", [(), ("--all",)])
def test_forget_strikes_what_has_no_file_and_retries_nothing(
    home: Home, everything: tuple[str, ...]
) -> None:
    """The list is cleared of what was resolved; what is in the quarantine stays, and is named."""
    lost = home.quarantined("lost.mp3")
    (home.quarantine / "lost.mp3").unlink()
    reason = home.quarantine / "lost.mp3.reason.json"
    reason.write_bytes(reason_bytes({"code": "bad_stem"}))
    there = home.quarantined("there.mp3", content=b"other", content_key="x")
    told = home.run("retry", "--forget", *everything)
    assert told.returncode == 0, told.stderr
    assert home.job(lost.id).state is JobState.GONE
    assert not reason.exists()
    assert home.job(there.id).state is JobState.QUARANTINED
    assert f"{there.id} there.mp3: kept, its file is there: {there.filed_to}" in told.stdout
    assert told.stdout.endswith("Struck: 1, kept: 1.\n")
    assert (home.quarantine / "there.mp3").read_bytes() == b"other"
    assert list(home.inbox.iterdir()) == []


def test_a_named_file_that_is_there_is_not_forgotten(home: Home) -> None:
    """Exit 1: it was asked for, and can't be; nothing is asked about a charge either."""
    job = home.quarantined("a.mp3", code="submission_unconfirmed", idempotency_key="k")
    told = home.run("retry", "--forget", "a.mp3")
    assert told.returncode == 1
    assert f"kept, its file is there: {job.filed_to}" in told.stdout
    assert home.job(job.id).state is JobState.QUARANTINED
    (home.quarantine / "a.mp3").unlink()
    assert home.run("retry", "--forget", "a.mp3").returncode == 0
    assert home.job(job.id).state is JobState.GONE


def test_a_disk_that_is_away_makes_nothing_forgotten(home: Home) -> None:
    """Its folder missing, or empty where a disk was mounted before: the files may come back."""
    job = home.quarantined("a.mp3")
    away = home.quarantine.rename(home.root / "away")
    missing = home.run("retry", "--forget")
    assert missing.returncode == 1
    assert "the folder is missing" in missing.stderr
    home.quarantine.mkdir()
    home.mount_away(home.quarantine)
    hidden = home.run("retry", "--forget", "--all")
    assert hidden.returncode == 1
    assert "is not mounted" in hidden.stderr
    assert "Mount it, then give the command again." in hidden.stderr
    assert "by itself" not in hidden.stderr
    told = home.run("retry", "a.mp3")
    assert (told.returncode, "is not mounted" in told.stderr) == (1, True)
    assert "--forget" not in told.stderr  # it is not said to be gone
    assert home.job(job.id).state is JobState.QUARANTINED
    home.quarantine.rmdir()
    away.rename(home.quarantine)
    assert home.run("retry", "a.mp3").returncode == 0


def test_a_full_disk_is_no_promise_of_a_command_to_go_on(home: Home) -> None:
    """The service goes on once there is room; a command has ended by then."""
    if (why := why_no_mounts()) is not None:
        pytest.skip(why)
    home.quarantined("a.mp3")
    with Tmpfs(home.inbox, 1) as disk:
        disk.fill()
        told = home.run("retry", "a.mp3")
        assert told.returncode == 1
        assert "Free some space there, then give the command again." in told.stderr
        disk.free()
        assert home.run("retry", "a.mp3").returncode == 0


def test_nothing_is_put_below_the_mount_point_of_an_inbox(home: Home) -> None:
    """Its share is away: the song would be hidden once that is back, and off the list."""
    job = home.quarantined("a.mp3")
    reason = home.quarantine / "a.mp3.reason.json"
    reason.write_bytes(reason_bytes({"code": "bad_stem"}))
    home.mount_away(home.inbox)
    told = home.run("retry", "--all")
    assert (told.returncode, told.stdout) == (1, "")
    assert f"the inbox {home.inbox} is not there" in told.stderr
    assert list(home.inbox.iterdir()) == []
    assert (home.quarantine / "a.mp3").read_bytes() == b"song"
    assert reason.exists()
    assert home.job(job.id).state is JobState.QUARANTINED


def test_forget_leaves_a_split_song_where_it_is(home: Home) -> None:
    """It never was in the quarantine folder; only once it is deleted it can be struck."""
    song = home.root / "mine.mp3"
    job = home.quarantined("mine.mp3")
    (home.quarantine / "mine.mp3").rename(song)
    where = os.fspath(song)
    theirs = home.journal(job.evolve(origin="split", path=where, filed_to=where, content_key="x"))
    home.run("retry", "--forget", str(job.id))
    assert f"kept, its file is there: {song}" in home.run("retry", "--forget").stdout
    song.unlink()
    assert home.run("retry", "--forget").returncode == 0
    assert home.job(theirs[0].id).state is JobState.GONE


@pytest.mark.parametrize("place", ["quarantine", "inbox", "another file", "nowhere"])
def test_what_is_paid_for_is_fetched_without_its_file(home: Home, place: str) -> None:
    """It needs the remote id only; --forget strikes it all the same."""
    job = home.quarantined("a.mp3", remote_id="job_1", completed_at=5.0)
    (home.quarantine / "a.mp3").unlink()
    if place == "another file":
        (home.inbox / "a.mp3").write_bytes(b"another song")
    if place != "quarantine":  # it never left, or was gone when the service came to move it
        filed_to = "" if place == "nowhere" else job.path
        job = home.journal(job.evolve(filed_to=filed_to, content_key="x"))[0]
    told = home.run("retry", str(job.id))
    assert told.returncode == 0, told.stderr
    assert "without its original" in told.stdout
    now = home.job(job.id)
    assert (now.state, now.remote_id, now.path) == (JobState.SEPARATED, "job_1", job.path)
    assert (now.identity, now.filed_to, now.code) == (job.identity, None, None)
    lost = home.journal(job.evolve(path="/b", filed_to="/c/a.mp3", content_key="y"))[0]
    assert home.run("retry", "--forget", str(lost.id)).returncode == 0
    assert home.job(lost.id).state is JobState.GONE


def test_a_retry_killed_after_the_move_can_be_repeated(home: Home) -> None:
    """The file is back in the inbox already: it is found by its content."""
    job = home.quarantined("a.mp3", remote_id="job_1")
    (home.quarantine / "a.mp3").rename(home.inbox / "a.mp3")
    assert home.run("retry", "a.mp3").returncode == 0
    assert home.job(job.id).state is JobState.SEPARATING


def test_content_that_is_under_way_waits(home: Home) -> None:
    """Two jobs can't be under way for one content: the file stays where it is."""
    job = home.quarantined("a.mp3", remote_id="job_1")
    home.journal(job.evolve(state=JobState.SEPARATING, path="/b", remote_id="job_2"))
    told = home.run("retry", "a.mp3")
    assert told.returncode == 1
    assert "another job" in told.stderr
    assert (home.quarantine / "a.mp3").exists()
    assert home.job(job.id).state is JobState.QUARANTINED


def test_odd_names_are_retried_and_printed_safely(home: Home) -> None:
    """Newlines and bytes that are no UTF-8 survive the way back."""
    name = "a\n\udcff.mp3"
    job = home.quarantined(name)
    told = home.run("retry", name)
    assert told.returncode == 0
    assert "a\\x0a\\xff.mp3" in told.stdout
    assert home.job(job.id).path == os.fspath(home.inbox / name)
    assert os.path.exists(home.job(job.id).path)


@pytest.mark.parametrize("moved", [True, False])
def test_a_file_that_the_service_is_just_moving_is_waited_for(home: Home, moved: bool) -> None:
    """Retried in that moment its file would be lost sight of; what never ends is told."""
    job = home.quarantined("a.mp3")
    filed_to = job.filed_to
    moving = home.journal(job.evolve(filed_to=None, content_key="x"))[0]
    settings = config.load(os.fspath(home.config), env={"HOME": os.fspath(home.root)})

    async def retry() -> JobState:
        journal = Journal(os.fspath(home.database))

        async def sleep(_seconds: float) -> None:
            current = await journal.get(moving.id)
            assert current is not None
            if moved:
                await journal.amend(current, filed_to=filed_to)

        try:
            inbox, disks = settings.every_inbox[0], Disks(journal)
            done = await bring_back(journal, moving, inbox, disks, running=True, sleep=sleep)
        finally:
            journal.close()
        return done.job.state

    if moved:
        assert asyncio.run(retry()) is JobState.QUEUED
        assert (home.inbox / "a.mp3").exists()
        return
    with pytest.raises(NotNow):
        asyncio.run(retry())
    assert (home.quarantine / "a.mp3").exists()
