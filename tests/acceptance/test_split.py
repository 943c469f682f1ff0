"""`split`: files that are named, beside the service or without it; nothing is paid for twice."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess, Popen

import pytest

from stemwatch.config import load
from stemwatch.errors import Reject
from stemwatch.inbox.intake import Candidate
from stemwatch.job import Job, Options
from stemwatch.operations import owners
from stemwatch.operations.split import Order, Report, run_split
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from tests.acceptance.harness import EITHER, KEY, SEPARATE, STEMWATCH, Home
from tests.acceptance.songs import drop
from tests.support import warm
from tests.support.scenario.server import ScenarioServer
from tests.support.terminal import terminal
from tests.support.waiting import wait_for, wait_for_async

LONG = 3600.0  # seconds a job takes that nobody waits for, or that `server.finish()` ends


@pytest.fixture
def home(tmp_path: Path, server: ScenarioServer) -> Home:
    return Home(tmp_path, server.url, watch={"settle_seconds": 0.05})


def arguments(home: Home, out: str = "outbox") -> list[str]:
    return ["split", str(home.root / "songs"), "-o", str(home.root / out), "-c", str(home.config)]


def split(home: Home, out: str = "outbox") -> CompletedProcess[str]:
    return home.command(*arguments(home, out))


def impatient_split(home: Home, out: str) -> Report:
    """The same in this process, without patience for a service that is just being restarted."""
    order = Order([str(home.root / "songs")], str(home.root / out), Options())
    timing = replace(Timing(), restart=0.2)
    settings = load(str(home.config), env={})
    return asyncio.run(run_split(settings, order, key=KEY, timing=timing))


def wait_until_at_the_server(home: Home, server: ScenarioServer) -> None:
    """Until a song is separated, and its job's id in the journal."""
    wait_for(lambda: server.paid["total"] == 1)
    wait_for(lambda: home.journal_count("separating") == 1)


@contextmanager
def splitting(home: Home) -> Iterator[warm.Forked | Popen[bytes]]:
    """`split` in the background; killed if the test does not end it."""
    with (home.root / "split.log").open("wb") as told:
        process = warm.popen(
            [*STEMWATCH, *arguments(home)],
            cwd=home.root,
            env=home.env(),
            stdout=told,
            stderr=told,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_a_folder_of_songs_and_a_file_that_is_none(home: Home, server: ScenarioServer) -> None:
    """Stems below the folder's name, originals where they were, exit 3 for the one that can't be.

    Run again, nothing is asked of anybody: what was delivered is still there.
    """
    songs = home.root / "songs"
    names = ["a.wav", "live/b.wav"]
    data = {name: drop(songs / name, number).read_bytes() for number, name in enumerate(names)}
    (songs / "broken.wav").write_bytes(b"RIFF" + bytes(200))
    ran = split(home)
    assert ran.returncode == 3, ran.stderr
    assert "2 delivered, 1 failed." in ran.stderr
    assert sorted(home.sidecars()) == ["songs/a", "songs/live/b"]
    assert {name: (songs / name).read_bytes() for name in names} == data
    assert not home.archive.exists()
    again = split(home)
    assert "2 delivered, 1 failed." in again.stderr
    assert "songs/broken.wav: " in again.stdout
    assert home.journal_count("quarantined") == 1
    assert server.paid["total"] == 2


def test_a_song_in_quarantine_is_one_however_often_it_is_tried(
    home: Home, server: ScenarioServer
) -> None:
    """Refused by the server, or by a limit that is another one later: `status` lists it once."""
    drop(home.root / "songs" / "a.wav", 1)
    server.scenario(post=[{"status": 422}, {"status": 422}])
    assert [split(home).returncode for _ in range(2)] == [3, 3]
    assert home.rows("SELECT state FROM jobs") == [("quarantined",)]
    assert split(home).returncode == 0
    assert home.rows("SELECT state FROM jobs") == [("done",)]
    drop(home.root / "songs" / "short.wav", 2, seconds=0.9)
    assert [split(home).returncode for _ in range(2)] == [3, 3]
    assert home.journal_count("quarantined") == 1
    assert server.paid["total"] == 1


@EITHER
def test_its_own_results_are_no_songs(home: Home, server: ScenarioServer) -> None:
    """`split .` pays once: its stems, copied ones too, and what the service made are left out.

    The folders that are named are looked through all the same, and a stem that is named is a song.
    """
    drop(home.root / "a.wav", 1)
    drop(home.outbox / "old" / "vocals.wav", 2)
    drop(home.archive / "old.wav", 3)
    drop(home.quarantine / "bad.wav", 4)
    ran = [home.command("split", ".", "-c", str(home.config)) for _ in range(2)]
    assert [one.returncode for one in ran] == [0, 0], ran[1].stderr
    assert ["1 delivered, 0 failed." in one.stderr for one in ran] == [True, True]
    shutil.copytree(home.root / "stems" / home.root.name / "a", home.root / "kept")
    estimated = home.command("estimate", ".", "-c", str(home.config))
    assert "1 file, 0 refused, 1 free" in estimated.stdout
    home.command("split", ".", "-o", "others", "-c", str(home.config))
    assert server.paid["total"] == 1
    stem = next((home.root / "kept").glob("*.wav"))
    named = home.command("split", "archive", str(stem), "-c", str(home.config))
    assert "2 delivered, 0 failed." in named.stderr
    assert server.paid["total"] == 3


@EITHER
def test_results_that_can_go_nowhere_are_told_before_anything_is_paid(
    home: Home, server: ScenarioServer
) -> None:
    """A file, a place below one, and one nobody can write in: a sentence that names -o, exit 78.

    So is one where a file has the name of the hidden folder that stems are made in.
    """
    song = drop(home.root / "songs" / "a.wav", 1)
    odd = home.root / "odd"
    odd.mkdir()
    (odd / ".stemwatch").write_text("mine")
    for out in (song, song / "stems", Path("/proc/stems"), odd):
        ran = split(home, str(out))
        assert ran.returncode == 78
        (told,) = ran.stderr.splitlines()
        assert told.startswith(f"stemwatch: -o: {out}")
    assert server.requests("post") == []


@EITHER
def test_a_preview_does_not_stand_in_for_what_is_paid_for(
    home: Home, server: ScenarioServer
) -> None:
    """`--local` first, then the API: its stems are made beside, and then both are there."""
    drop(home.root / "songs" / "a.wav", 1, seconds=5)
    preview = home.command(*arguments(home), "--local")
    assert preview.returncode == 0, preview.stderr
    assert [split(home).returncode for _ in range(2)] == [0, 0]
    assert (len(home.sidecars()), server.paid["total"]) == (2, 1)


@EITHER
def test_a_folder_without_songs_is_told(home: Home) -> None:
    """Exit 1, as `estimate` does: nothing was delivered, and a script must not take it for done."""
    (home.root / "songs").mkdir()
    (home.root / "songs" / "notes.txt").write_text("no song")
    ran = split(home)
    assert (ran.returncode, ran.stderr.startswith("No songs there")) == (1, True)


def test_after_an_interrupt_it_goes_on_where_it_was(home: Home, server: ScenarioServer) -> None:
    """Ctrl-C leaves what is paid for at the server; the same command fetches it. Exit 130, then 0.

    A `split` of the same song into another folder says meanwhile what it would wait for.
    """
    drop(home.root / "songs" / "a.wav", 1)
    server.scenario(job_seconds=LONG)
    with splitting(home) as process:
        wait_until_at_the_server(home, server)
        assert "interrupted" not in home.command("status").stdout
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert home.command("run", "--once").returncode == 0  # the service's own songs are all done
    (left,) = json.loads(home.command("status", "--json").stdout)["interrupted"]
    assert (left["name"], left["state"]) == ("a.wav", "separating")
    told = "1 of an interrupted `stemwatch split` (a.wav): run it again to go on"
    assert told in home.command("status").stdout
    other = impatient_split(home, "elsewhere")
    assert (other.exit_code, other.delivered) == (1, 0)
    assert other.held.startswith(f"{home.root}/songs/a.wav is the same song")
    assert "Run the `split` that was interrupted" in other.held
    server.finish()
    assert split(home).returncode == 0
    (left,) = json.loads(home.command("status", "--json").stdout)["interrupted"]
    assert left["outbox"] == str(home.root / "elsewhere")
    assert list(home.sidecars()) == ["songs/a"]
    assert server.paid["total"] == 1


def test_a_service_goes_on_with_what_an_interrupted_split_has_paid(
    home: Home, server: ScenarioServer
) -> None:
    """Its own song of that content waits for nobody; the `split` gets its stems when run again."""
    song = drop(home.root / "songs" / "a.wav", 1)
    server.scenario(job_seconds=LONG)
    with splitting(home) as process:
        wait_until_at_the_server(home, server)
        process.kill()
        process.wait()
    (home.inbox / "same.wav").write_bytes(song.read_bytes())
    with home.scaled_service(0.02) as service:
        service.wait_for_event("job.taken_over")
        server.finish()
        service.wait_for_event("job.done")
        assert split(home).returncode == 0
    assert home.sidecars()["songs/a"]["reused_from"] == "same"
    assert server.paid["total"] == 1
    assert len(home.rows("SELECT * FROM spend")) == 1


@EITHER
def test_a_song_that_the_service_is_separating_is_waited_for(
    home: Home, server: ScenarioServer
) -> None:
    """Its stems are delivered for both, and paid for once."""
    song = drop(home.root / "songs" / "a.wav", 1)
    server.scenario(job_seconds=LONG)
    with home.service():
        (home.inbox / "same.wav").write_bytes(song.read_bytes())
        wait_until_at_the_server(home, server)
        with splitting(home) as process:
            told = home.root / "split.log"
            wait_for(lambda: f"waits for {home.inbox}/same.wav" in told.read_text())
            server.finish()
            assert process.wait(60) == 0, told.read_text()
        assert "1 delivered, 0 failed." in told.read_text()
    assert home.sidecars()["songs/a"]["reused_from"] == "same"
    assert server.paid["total"] == 1


@EITHER
def test_what_was_delivered_while_files_were_still_taken_in_is_not_missed(
    home: Home, server: ScenarioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service was done before `split` looked whether anything is left; nobody woke its pool."""
    song = drop(home.root / "songs" / "a.wav", 1)
    drop(home.root / "songs" / "b.wav", 2)
    server.scenario(job_seconds=LONG)
    taken_up = owners.taken_up

    async def slowly(context: Context, state_dir: str, candidate: Candidate) -> Job | None:
        if candidate.relpath.endswith("b.wav"):
            server.finish()
            await wait_for_async(lambda: home.journal_count("done") == 1)
            raise Reject("it is no song.", code="not_audio")
        return await taken_up(context, state_dir, candidate)

    monkeypatch.setattr(owners, "taken_up", slowly)
    with home.service():
        (home.inbox / "same.wav").write_bytes(song.read_bytes())
        wait_until_at_the_server(home, server)
        report = impatient_split(home, "outbox")
    assert (report.delivered, report.failed) == (1, 1)
    assert server.paid["total"] == 1


@EITHER
def test_a_song_of_a_service_that_is_stopped_is_not_waited_for(
    home: Home, server: ScenarioServer
) -> None:
    """It says so, with the way out, instead of ending as if all were well or waiting for ever."""
    song = drop(home.root / "songs" / "a.wav", 1)
    server.scenario(job_seconds=LONG)
    with home.service() as service:
        (home.inbox / "same.wav").write_bytes(song.read_bytes())
        wait_until_at_the_server(home, server)
        service.kill()
    ended = impatient_split(home, "outbox")
    assert (ended.exit_code, ended.delivered) == (1, 0)
    assert ended.held.startswith(f"{home.inbox}/same.wav is the same song")
    assert "Start the service (`stemwatch run`)" in ended.held
    assert server.paid["total"] == 1


@SEPARATE
def test_bars_are_there_at_80_columns_however_long_a_name_is(
    home: Home, server: ScenarioServer
) -> None:
    """The name is cut in its middle, and the bar has its place beside it."""
    name = "A Band With a Very Long Name - A Song With a Title That Never Ends (Live in Paris).wav"
    drop(home.root / "songs" / name, 1)
    server.scenario(job_seconds=LONG)
    with terminal(columns=80) as screen:
        child = Popen(
            [*STEMWATCH, *arguments(home)],
            cwd=home.root,
            env=home.env() | {"TERM": "xterm", "LC_ALL": "C.UTF-8"},
            stdout=screen.slave,
            stderr=screen.slave,
        )
        seen = screen.wait_for("separating", "░", "0 of 1")
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
    assert "A Band With a Ver…ve in Paris).wav " in seen
    assert name not in seen
