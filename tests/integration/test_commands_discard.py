"""`discard` with real files in a real quarantine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stemwatch.job import Job, JobState
from stemwatch.outbox.quarantine import reason_bytes
from tests.support.commands import Home
from tests.support.struck import needs_strace, struck


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def rejected(home: Home, name: str, **changes: object) -> Job:
    """A song in quarantine with its reason file."""
    job = home.quarantined(name, **changes)  # type: ignore[arg-type]
    Path(f"{job.filed_to}.reason.json").write_bytes(reason_bytes({"attempts": 1}))
    return job


def files(folder: Path) -> list[str]:
    return sorted(os.fspath(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_file_goes_to_the_archive_and_its_reason_with_it(home: Home) -> None:
    """In the same subfolder; the entry is off the list, its history stays."""
    job = rejected(home, "live/a.mp3")
    told = home.run("discard", "live/a.mp3")
    assert told.returncode == 0, told.stderr
    assert f"{job.id} a.mp3 is discarded; its file is in the archive: " in told.stdout
    assert (home.archive / "live" / "a.mp3").read_bytes() == b"song"
    assert files(home.quarantine) == []
    assert home.job(job.id).state is JobState.GONE
    assert "Nothing is in quarantine" in home.run("retry").stdout


def test_it_can_be_deleted(home: Home) -> None:
    """Only where that is asked for; without an archive it is the way out that is named."""
    text = home.config.read_text().replace("archive: archive", "after_success: keep")
    home.config.write_text(text)
    job = rejected(home, "a.mp3")
    refused = home.run("discard", "a.mp3")
    assert refused.returncode == 1
    assert f"stemwatch discard --delete {job.id}" in refused.stderr
    assert files(home.quarantine) == ["a.mp3", "a.mp3.reason.json"]
    told = home.run("discard", "a.mp3", "--delete")
    assert (told.returncode, told.stderr) == (0, "")
    assert "its file is deleted." in told.stdout
    assert files(home.quarantine) == files(home.archive) == []
    assert home.job(job.id).state is JobState.GONE


def test_all_of_one_code(home: Home) -> None:
    """The others stay; a mistyped code and a code without --all touch nothing."""
    bad = rejected(home, "bad.mp3", code="not_audio")
    other = rejected(home, "other.mp3", content=b"other", content_key="x", code="truncated")
    near = home.run("discard", "--all", "--code", "not_adio")
    assert (near.returncode, "Did you mean not_audio?" in near.stderr) == (2, True)
    assert home.run("discard", "bad.mp3", "--code", "not_audio").returncode == 2
    assert home.run("discard").returncode == 2
    assert home.run("discard", "--all", "--code", "not_audio").returncode == 0
    assert home.job(bad.id).state is JobState.GONE
    assert home.job(other.id).state is JobState.QUARANTINED
    assert "with not_audio." in home.run("discard", "--all", "--code", "not_audio").stdout


def test_names_that_mean_several_or_none(home: Home) -> None:
    one = rejected(home, "song.mp3")
    two = rejected(home, "live/song.mp3", content_key="other")
    several = home.run("discard", "song.mp3")
    assert several.returncode == 2
    assert f"  {one.id}  " in several.stderr
    assert f"  {two.id}  " in several.stderr
    unknown = home.run("discard", "sonk.mp3")
    assert (unknown.returncode, "Did you mean song.mp3" in unknown.stderr) == (1, True)
    assert home.job(one.id).state is JobState.QUARANTINED


def test_what_is_paid_for_is_given_up_only_with_a_yes(home: Home) -> None:
    """It is told what that is. Nobody to ask: exit 2, and nothing at all is touched."""
    free = rejected(home, "free.mp3")
    paid = rejected(home, "paid.mp3", content_key="p", remote_id="job_1", completed_at=5.0)
    doubtful = rejected(home, "doubtful.mp3", content_key="d", code="submission_unconfirmed")
    told = home.run("discard", "--all")
    assert told.returncode == 2
    assert f"paid for, and are given up with it: `stemwatch retry {paid.id}`" in told.stderr
    assert f"{doubtful.id} doubtful.mp3: it may have been charged" in told.stderr
    assert home.job(free.id).state is JobState.QUARANTINED
    local = rejected(home, "local.mp3", content_key="x:local", remote_id="job_2")
    assert home.run("discard", str(local.id)).returncode == 0  # it cost nothing
    assert home.run("discard", "--all", "--yes").returncode == 0
    assert home.job(paid.id).state is JobState.GONE
    assert files(home.archive) == ["doubtful.mp3", "free.mp3", "local.mp3", "paid.mp3"]


def test_all_files_are_deleted_only_with_a_yes(home: Home) -> None:
    rejected(home, "a.mp3")
    told = home.run("discard", "--all", "--delete")
    assert (told.returncode, "would delete 1 file: add --yes" in told.stderr) == (2, True)
    assert files(home.quarantine) == ["a.mp3", "a.mp3.reason.json"]
    assert home.run("discard", "--all", "--delete", "--yes").returncode == 0
    assert files(home.quarantine) == []


def test_a_disk_that_is_away_ends_nothing(home: Home) -> None:
    """Without its mount, the file only seems to be gone."""
    job = rejected(home, "a.mp3")
    home.quarantine.rename(home.root / "away")
    told = home.run("discard", "a.mp3")
    assert (told.returncode, "the folder is missing" in told.stderr) == (1, True)
    assert home.job(job.id).state is JobState.QUARANTINED


def test_nothing_is_put_below_the_mount_point_of_an_archive(home: Home) -> None:
    """It would be hidden once that disk is back. What is deleted needs no archive."""
    job = rejected(home, "a.mp3")
    home.mount_away(home.archive)
    told = home.run("discard", "a.mp3")
    assert (told.returncode, "is not mounted" in told.stderr) == (1, True)
    assert files(home.archive) == []
    assert files(home.quarantine) == ["a.mp3", "a.mp3.reason.json"]
    assert home.job(job.id).state is JobState.QUARANTINED
    assert home.run("discard", "--delete", "a.mp3").returncode == 0


@pytest.mark.parametrize("filed", [True, False])
def test_a_file_that_never_left_the_inbox_is_not_taken_in_again(home: Home, filed: bool) -> None:
    """It is archived from there: left in the inbox, it would be a new song, and may be paid for."""
    job = home.quarantined("a.mp3")
    (home.quarantine / "a.mp3").rename(home.inbox / "a.mp3")
    stays = job.evolve(filed_to=job.path if filed else None, content_key="x")
    home.run("retry", "--forget", str(job.id))
    entry = home.journal(stays)[0]
    told = home.run("discard", str(entry.id))
    assert told.returncode == 0, told.stderr
    assert files(home.archive) == ["a.mp3"]
    assert files(home.inbox) == []


@needs_strace
@pytest.mark.parametrize("delete", [False, True])
def test_a_kill_at_any_call_loses_nothing(tmp_path: Path, delete: bool) -> None:
    """The file is whole in one place, and the same command brings it to its end."""
    hits = 0
    points = [("renameat2", 1), ("unlink", 1), ("fsync", 1)]
    for number, (call, n) in enumerate(points):
        (root := tmp_path / str(number)).mkdir()
        home = Home(root)
        job = rejected(home, "a.mp3")
        more = ("--delete",) if delete else ()
        hits += struck(root, "discard", "a.mp3", *more, call=call, n=n)
        left = [p for p in root.rglob("*") if p.is_file() and p.read_bytes() == b"song"]
        assert len(left) == 1 or (delete and len(left) <= 1)
        gone = home.job(job.id).state is JobState.GONE
        again = home.run("discard", str(job.id), *more)
        assert (again.returncode == 0) != gone, again.stderr
        assert home.job(job.id).state is JobState.GONE
        assert files(home.quarantine) == []
        assert files(home.archive) == ([] if delete else ["a.mp3"])
    assert hits >= 2
