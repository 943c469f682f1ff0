"""`status` against real journals, locks and status files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from stemwatch.disks.lock import InstanceLock
from stemwatch.job import JobState
from stemwatch.operations.status import SCHEMA
from stemwatch.workers import progress
from tests.support.commands import COMMAND, SHA, Home, a_job, environment
from tests.support.terminal import terminal


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def snapshot(pid: int) -> progress.Snapshot:
    return progress.Snapshot(
        version="9",
        pid=pid,
        started_at=time.time() - 60,
        written_at=time.time(),
        watcher={"mode": "inotify", "reason": "", "healthy": True, "rebuilds": 0, "scans": 3},
        pauses=[{"code": "credit", "message": "No credit.", "hint": "Buy some.", "next_try": 0.0}],
        running=[
            {"id": 1, "name": "a\x1b.mp3", "stage": "upload", "since": 0, "done": 5, "total": 10}
        ],
        slots={"held": 1, "limit": 3},
        credit={"seconds": 3252.0, "at": 0.0},
        unreadable=[{"path": "/inbox/x.mp3", "message": "Permission denied"}],
    )


def test_no_journal_is_told_and_none_is_made(home: Home) -> None:
    """Looking leaves nothing behind."""
    told = home.run("status")
    assert told.returncode == 0
    assert "not running" in told.stdout
    assert "No journal yet" in told.stdout
    assert list(home.state.iterdir()) == []


def test_json_has_every_key_without_a_journal(home: Home) -> None:
    """Readers find explicit nulls and zeros, never missing keys."""
    document = json.loads(home.run("status", "--json").stdout)
    assert document["schema"] == SCHEMA
    assert document["journal"] is False
    assert document["service"] == {
        "running": False,
        "pid": None,
        "version": None,
        "started_at": None,
        "configuration": None,
    }
    assert document["queue"] == {str(state): 0 for state in JobState}
    assert document["watcher"] is None
    assert document["slots"] is None
    assert document["credit"] is None
    assert document["budget"]["holding"] is None
    assert (document["left_behind"], document["next"]) == (0, [])


def test_a_running_service_is_shown_as_it_reports_itself(home: Home) -> None:
    """The lock proves that it lives; the status file tells the rest, made safe to print."""
    home.journal(a_job("a.mp3"))
    lock = InstanceLock(os.fspath(home.state / "lock"))
    try:
        progress.write(os.fspath(home.state), snapshot(os.getpid()))
        document = json.loads(home.run("status", "--json").stdout)
        told = home.run("status").stdout
    finally:
        lock.release()
    assert document["service"]["pid"] == os.getpid()
    assert document["running"][0]["name"] == "a\\x1b.mp3"
    assert document["running"][0]["unit"] == "bytes"
    assert document["unreadable"] == [{"path": "/inbox/x.mp3", "message": "Permission denied"}]
    assert f"running (pid {os.getpid()}" in told
    assert "Paused (credit): No credit." in told
    assert "Watcher: inotify" in told
    assert document["credit"] == {"seconds": 3252.0, "at": "1970-01-01T00:00:00Z"}


def test_what_a_killed_service_left_is_not_its_state(home: Home) -> None:
    """Nobody holds the lock: the old running jobs and pauses are over."""
    progress.write(os.fspath(home.state), snapshot(1))
    (home.state / "lock").write_text("1\n")
    document = json.loads(home.run("status", "--json").stdout)
    assert document["service"]["running"] is False
    assert document["running"] == []
    assert document["pauses"] == []
    assert document["credit"] is None


def test_what_waits_and_what_needs_a_person_is_listed(home: Home) -> None:
    """Each quarantined song with the command that resolves it; each waiting one with its reason."""
    soon = time.time() + 300
    home.journal(a_job("w.mp3", not_before=soon, code="connection", message="no route."))
    bad = home.quarantined("bad\n.mp3", code="submission_unconfirmed", message="no answer.")
    told = home.run("status").stdout
    document = json.loads(home.run("status", "--json").stdout)
    assert f"stemwatch retry {bad.id}  # it may be charged again" in told
    assert "bad\\x0a.mp3" in told
    assert "no route." in told
    assert document["waiting"][0]["code"] == "connection"
    assert document["quarantined"][0]["retry"] == f"stemwatch retry {bad.id}"
    assert document["quarantined"][0]["may_be_charged_again"] is True


def test_files_over_the_budget_wait_until_it_is_renewed(tmp_path: Path) -> None:
    """The queue's files that cost more than what is left are counted, with the key's name."""
    home = Home(tmp_path, "budget: {minutes_per_day: 2}")
    home.journal(a_job("long.mp3", duration=600.0), a_job("short.mp3", content_key="other"))
    holding = json.loads(home.run("status", "--json").stdout)["budget"]["holding"]
    assert holding["files"] == 1
    assert holding["key"] == "budget.minutes_per_day"
    assert holding["until"].endswith("Z")


def test_a_journal_that_is_none_is_a_clear_error(home: Home) -> None:
    """Exit 1, one sentence, the file untouched."""
    home.database.write_bytes(b"this is no database at all" * 100)
    told = home.run("status")
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert "can't be read" in told.stderr
    assert home.database.read_bytes() == b"this is no database at all" * 100


def test_json_stays_valid_on_an_ascii_stream(home: Home) -> None:
    """A name outside ASCII is escaped as JSON escapes it."""
    home.quarantined("Ünïcode 🎵.mp3")
    found = home.run("status", "--json", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert json.loads(found.stdout)["quarantined"][0]["name"] == "Ünïcode 🎵.mp3"


def test_a_piped_watch_prints_a_line_for_each_change(home: Home) -> None:
    """Nothing is repeated; Ctrl-C is a normal end."""
    child = subprocess.Popen(
        [*COMMAND, "status", "--watch"],
        cwd=home.root,
        env=environment(home.root, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child.stdout:
        assert "not running" in child.stdout.readline()
        home.journal(a_job("a.mp3"))
        assert "1 queued" in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        rest = child.stdout.read()
    assert child.wait(60) == 0
    assert rest == ""


def test_a_watch_does_not_pass_over_a_wish_for_names(home: Home) -> None:
    """It has no room for them: said at once, not shown without."""
    told = home.run("status", "--watch", "--verbose")
    assert told.returncode == 2
    assert "leave out one" in told.stderr


def test_a_watch_on_a_small_terminal_shows_the_newest_and_ends_with_ctrl_c(home: Home) -> None:
    """24 rows of 80, and more in quarantine than fits: what came last is there."""
    home.journal(a_job("a.mp3", sha256=SHA))
    for number in range(30):
        home.quarantined(f"bad-{number}.mp3", content=b"%d" % number, code=f"reason-{number}")
    with terminal() as screen:
        child = subprocess.Popen(
            [*COMMAND, "status", "--watch"],
            cwd=home.root,
            env=environment(home.root, TERM="xterm"),
            stdin=screen.slave,
            stdout=screen.slave,
        )
        seen = screen.wait_for("(`stemwatch retry` lists all of them)")
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 0
    assert "1 queued" in seen
    assert "bad-29.mp3" in seen
    assert seen.count("\n") < 24
