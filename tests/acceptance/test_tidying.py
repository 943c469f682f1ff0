"""The quarantine's list has no ghosts, and the archive keeps originals as long as it is told."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stemwatch.job import Identity
from stemwatch.outbox.moving import hidden_name
from tests.acceptance.harness import KEY, SEPARATE, STEMWATCH, Home, Service
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

QUICK = {"settle_seconds": 0.05, "rescan_seconds": 0.3}
DAY = 86400
# Root then needs the permissions that anybody needs.
NO_MASTER_KEY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
pytestmark = SEPARATE


@pytest.fixture
def server(wire: str) -> Iterator[ScenarioServer]:
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.05) as server:
        yield server


def once(home: Home) -> int:
    done = home.command("run", "--once", "-c", str(home.config))
    return done.returncode


def files(folder: Path) -> list[str]:
    return sorted(os.fspath(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def alter(home: Home, sql: str, *values: object) -> None:
    """What time, or an older version, would have left in the journal."""
    with closing(sqlite3.connect(home.state / "journal.sqlite3")) as db, db:
        db.execute(sql, values)


def watched_clock(home: Home, first: float, last: float) -> None:
    """It jumped at `first`, and showed `last` when somebody looked, as the journal knows it."""
    sql = "INSERT OR REPLACE INTO meta VALUES ('steady clock', ?)"
    alter(home, sql, f"{first:.0f} {last:.0f}")


def test_an_entry_without_its_file_is_struck(tmp_path: Path, server: ScenarioServer) -> None:
    """Its reason file too, and those that an older version left; a person's own files stay."""
    home = Home(tmp_path, server.url, watch=QUICK)
    for name in ("lost.wav", "live/moved.wav", "stays.wav"):
        (home.inbox / name).parent.mkdir(exist_ok=True)
        (home.inbox / name).write_bytes(b"no sound " + name.encode() * 99)
    assert once(home) == 3
    (home.quarantine / "lost.wav").unlink()
    left = (home.quarantine / "stays.wav.reason.json").read_bytes()
    (home.quarantine / "old.wav.reason.json").write_bytes(left)
    (home.quarantine / "mine.reason.json").write_text('{"code": "mine"}')
    os.replace(home.quarantine / "live" / "moved.wav", home.inbox / "moved.wav")
    with home.service() as service:
        service.wait_for_event("job.struck", count=2)
        wait_for(lambda: home.journal_count("gone") == 2)
        wait_for(lambda: not (home.quarantine / "old.wav.reason.json").exists())
        wait_for(lambda: "moved.wav" in home.reasons())  # refused as it was before
    assert files(home.quarantine) == [
        "mine.reason.json",
        *("moved.wav", "moved.wav.reason.json", "stays.wav", "stays.wav.reason.json"),
    ]
    listed = home.command("retry", "-c", str(home.config)).stdout
    assert "In quarantine: 2." in listed


def test_what_may_be_paid_stays_and_says_so(tmp_path: Path, server: ScenarioServer) -> None:
    """Only the entry knows the stems; `status` tells what can be done about it."""
    server.scenario(jobs=[{"plan": "failed"}])
    home = Home(tmp_path, server.url, watch=QUICK)
    drop(home.inbox / "song.wav")
    assert once(home) == 3
    (home.quarantine / "song.wav").unlink()
    alter(home, "UPDATE jobs SET code = 'bad_stem', completed_at = 1")
    with home.service():
        wait_for(lambda: home.rows("SELECT 1 FROM jobs WHERE hint LIKE 'Its file is gone.%'"))
    told = home.command("status", "-c", str(home.config)).stdout
    assert "It is paid for: `stemwatch retry 1` fetches it" in told
    assert home.journal_count("quarantined") == 1
    assert files(home.quarantine) == ["song.wav.reason.json"]


def test_a_disk_that_is_away_strikes_nothing(tmp_path: Path, server: ScenarioServer) -> None:
    """The empty folder below its mount does not say what is in the quarantine."""
    home = Home(tmp_path, server.url, watch=QUICK)
    (home.inbox / "bad.wav").write_bytes(b"no sound" * 99)
    assert once(home) == 3
    away = home.quarantine.rename(tmp_path / "away")
    home.quarantine.mkdir()
    fact = f"disk of {home.quarantine}"
    alter(home, "UPDATE meta SET value = ? WHERE name = ?", f"1 {home.quarantine}", fact)
    with home.service() as service:
        held = service.wait_for_event("upkeep.held")
        assert "is not mounted" in held["message"]
        assert home.journal_count("gone") == 0
    home.quarantine.rmdir()
    away.rename(home.quarantine)
    assert home.journal_count("quarantined") == 1
    assert (home.quarantine / "bad.wav").exists()


def test_old_originals_are_deleted_where_that_is_asked_for(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Only what the journal filed there and nobody touched; folders that are empty then go too."""
    keep = {"keep_archive_days": 30}
    home = Home(tmp_path, server.url, watch=QUICK, folders=keep)
    names = ("a/b/old.wav", "a/young.wav", "edited.wav", "swapped.wav", "killed.wav", "again.wav")
    for number, name in enumerate(names):
        drop(home.inbox / name, number)
    assert once(home) == 0
    assert home.command("again", "--yes", "again.wav").returncode == 0
    assert once(home) == 0  # it is filed at the same place once more
    (home.archive / "mine.wav").write_bytes(b"a person's own")
    (home.archive / "edited.wav").write_bytes((home.archive / "edited.wav").read_bytes() + b"x")
    seen = (home.archive / "swapped.wav").stat()
    (home.archive / "swapped.wav").write_bytes(b"\0" * seen.st_size)
    os.utime(home.archive / "swapped.wav", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    killed = home.archive / "killed.wav"  # a kill in the middle of its deletion
    killed.rename(killed.with_name(hidden_name(Identity.of(killed.stat()))))
    now = time.time()
    alter(home, "UPDATE jobs SET updated_at = ?", now - 31 * DAY)
    young = ("UPDATE jobs SET updated_at = ? WHERE CAST(relpath AS TEXT) = 'a/young.wav'",)
    alter(home, *young, now - 29 * DAY)
    alter(home, "UPDATE jobs SET updated_at = ? WHERE anew", now - 29 * DAY)
    with home.service() as service:
        told, other = (service.wait_for_event("archive.deleted", count=n) for n in (1, 2))
        wait_for(lambda: not (home.archive / "a" / "b").exists())
    assert {told["relpath"], other["relpath"]} == {"a/b/old.wav", "killed.wav"}
    assert told["days"] == 30.0
    kept = ["a/young.wav", "again.wav", "edited.wav", "mine.wav", "swapped.wav"]
    assert files(home.archive) == kept
    assert len(service.events("archive.deleted")) == 2
    assert len(home.sidecars()) == 7
    assert home.rows("SELECT count(*) FROM jobs WHERE state = 'done'") == [(7,)]


def test_a_clock_that_has_jumped_deletes_nothing_for_a_day(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """A start with a date far ahead, before NTP has set it, emptied the archive in a minute."""
    home = Home(tmp_path, server.url, watch=QUICK, folders={"keep_archive_days": 30})
    drop(home.inbox / "song.wav")
    assert once(home) == 0
    now = time.time()
    before = now - 400 * DAY  # so far has the clock jumped, as the journal sees it
    alter(home, "UPDATE jobs SET updated_at = ?, created_at = ?", before, before)
    alter(home, "UPDATE history SET at = ?", before)
    watched_clock(home, before - 9 * DAY, before)
    with home.service() as service:
        told = service.wait_for_event("archive.waits")
        assert told["days"] == 400.0
        assert "for a day" in told["hint"]
    assert files(home.archive) == ["song.wav"]
    assert not service.events("archive.deleted")
    watched_clock(home, now - 1.1 * DAY, now)  # it was right: a day later
    with home.service() as service:
        service.wait_for_event("archive.deleted")
    assert not service.events("archive.waits")


def loop_of(folder: Path) -> None:
    """A folder that nobody can enter, root neither: a lasting error of its disk, to a program."""
    folder.rename(folder.with_name(f"{folder.name}.aside"))
    folder.symlink_to(folder.name)


def test_a_folder_that_fails_is_told_of_and_the_others_are_tidied(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """A bare OSError of one archived folder ended the service, at each start again."""
    home = Home(tmp_path, server.url, watch=QUICK, folders={"keep_archive_days": 30})
    for number, name in enumerate(("a/one.wav", "a/two.wav", "b/old.wav")):
        drop(home.inbox / name, number)
    assert once(home) == 0
    alter(home, "UPDATE jobs SET updated_at = ?", time.time() - 31 * DAY)
    loop_of(home.archive / "a")
    with home.service() as service:
        assert service.wait_for_event("archive.deleted")["relpath"] == "b/old.wav"
        told = service.wait_for_event("upkeep.held_folder")
        assert service.process.poll() is None
    assert len(service.events("upkeep.held_folder")) == 1
    assert told["path"] == str(home.archive / "a")
    assert told["hint"].startswith("Look at")
    assert len(files(home.archive / "a.aside")) == 2


def test_a_folder_of_the_quarantine_that_cant_be_read_holds_up_nothing_else(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Entries are struck all the same, and the archive is tidied."""
    home = Home(tmp_path, server.url, watch=QUICK, folders={"keep_archive_days": 30})
    drop(home.inbox / "old.wav")
    (home.inbox / "lost.wav").write_bytes(b"no sound" * 99)
    assert once(home) == 3
    (home.quarantine / "lost.wav").unlink()
    alter(home, "UPDATE jobs SET updated_at = ? WHERE state = 'done'", time.time() - 31 * DAY)
    (home.quarantine / "locked").mkdir(mode=0)
    bound = [] if os.geteuid() else NO_MASTER_KEY
    with Service(home, [*bound, *STEMWATCH, "run", "-c", str(home.config)], KEY) as service:
        told = service.wait_for_event("upkeep.held_folder")
        service.wait_for_event("job.struck")
        service.wait_for_event("archive.deleted")
    assert "locked" in told["message"]
    assert "permission" in told["hint"]


def test_libraries_are_told_to_leave_the_outbox_alone(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Before the first stem, at a reload and at each start; a user's own file stays as it is."""
    home = Home(tmp_path, server.url, watch=QUICK, outbox={"ignore_files": ["mpd", "plex"]})
    home.outbox.mkdir()
    (home.outbox / ".plexignore").write_text("mine")
    with home.service() as service:
        assert (home.outbox / ".mpdignore").read_text() == "*\n"
        home.configure(server.url, watch=QUICK, outbox={"ignore_files": ["jellyfin"]})
        service.signal(signal.SIGHUP)
        wait_for(lambda: (home.outbox / ".ignore").exists())
    (home.outbox / ".ignore").unlink()
    drop(home.inbox / "song.wav")
    assert once(home) == 0
    assert (home.outbox / ".ignore").read_bytes() == b""
    assert (home.outbox / ".plexignore").read_text() == "mine"
    assert list(home.sidecars()) == ["song"]
