"""Killed at any moment, started again: one remote job and one delivery each, nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.acceptance.harness import (
    EITHER,
    KEY,
    LOOKED_FOR_SOON,
    SCALED,
    SEPARATE,
    STEMWATCH,
    Home,
    Service,
)
from tests.acceptance.songs import drop
from tests.faults.disks import Tmpfs, why_no_mounts
from tests.support import warm
from tests.support.scenario.caller import make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.sidecars import OLD
from tests.support.waiting import wait_for


@pytest.fixture
def server(wire: str) -> Iterator[ScenarioServer]:
    # A receiving buffer grows to 32 MB on some machines: it would swallow a song whole.
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.2, receive_buffer=65_536) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, server: ScenarioServer) -> Home:
    return Home(tmp_path, server.url)


def states(home: Home) -> list[str]:
    return [row[0] for row in home.rows("SELECT state FROM jobs ORDER BY id")]


def filed(home: Home) -> bool:
    """Whether every original was moved, and the journal knows."""
    return not home.rows("SELECT 1 FROM jobs WHERE filed_to IS NULL")


def hidden_parts(home: Home) -> dict[str, tuple[int, int]]:
    """Stems that are committed in the hidden staging, with inode and mtime."""
    found = (home.outbox / ".stemwatch").glob("*/*.wav")
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in found}


def assert_delivered_once(home: Home, server: ScenarioServer, *names: str) -> None:
    """Each song: one charge, one folder with its sidecar, its original in the archive."""
    sidecars = home.sidecars()
    assert sorted(car["source"]["name"] for car in sidecars.values()) == sorted(names)
    assert sorted(p.name for p in home.archive.iterdir()) == sorted(names)
    assert home.waiting() == []
    assert home.reasons() == {}
    assert server.paid["total"] == len(names)
    paid = {job["id"] for job in server.paid["jobs"]}
    assert {car["separation"]["job_id"] for car in sidecars.values()} == paid
    for folder, car in sidecars.items():
        listed = {stem["file"] for stem in car["stems"]}
        shown = {p.name for p in (home.outbox / folder).iterdir()}
        assert listed == {n for n in shown if not n.endswith(".stemwatch.json")}
    left = home.outbox / ".stemwatch"
    assert not left.exists() or not any(left.iterdir())


def killed_when(
    home: Home, condition: Callable[[], object], *songs: str, seconds: float = 5
) -> None:
    """Drop songs into a running service, and SIGKILL it as soon as `condition` holds."""
    with home.service() as service:
        for song in songs:
            make_song(home.inbox / song, seconds=seconds, name=song)
        wait_for(condition, every=0.001, what=f"the moment to kill:\n{service.text()}")
        service.kill()


def finished(home: Home) -> int:
    """Start again, work off what is there; returns the exit code."""
    return _code_of(home.command("run", "-c", str(home.config), "--once"))


def finished_whatever_was_under_way(home: Home) -> int:
    """`finished`, for a kill that may have come between a submission and its arrival.

    The list of jobs (wire B) does not have such a one; in life it is looked for a last time 65 s
    after it was sent, which is longer than a test should wait.
    """
    command = [*SCALED, "1", str(home.config), "--once", *LOOKED_FOR_SOON]
    return _code_of(warm.run(command, cwd=warm.ROOT, env=home.env()))


def _code_of(done: subprocess.CompletedProcess[str]) -> int:
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


def test_a_kill_while_uploading_is_not_ambiguous(home: Home, server: ScenarioServer) -> None:
    """A body without its end can't have been accepted: it is simply uploaded again."""
    route = server.upload_route
    home.configure(server.url, prepare={"upload": "original"})  # a tone is tiny as FLAC
    server.scenario(**{route: [{"hang": "head"}]})
    # 10 MB: more than the sockets of both sides swallow, so the end can't have been sent
    killed_when(home, lambda: server.requests(route), "song.wav", seconds=60)
    assert states(home) == ["queued"]
    assert finished(home) == 0
    assert_delivered_once(home, server, "song.wav")
    assert len(server.requests(route)) == 2


@SEPARATE
def test_a_kill_before_the_answer_is_left_to_a_person(home: Home, server: ScenarioServer) -> None:
    """The server has every byte and holds its answer: whether it charged, only a person can find
    out, so there is one POST ever, and the file waits in quarantine with what to do."""
    server.scenario(post=[{"hang": "end", "accept": True}])
    killed_when(home, lambda: any("finished" in r for r in server.requests("post")), "song.wav")
    assert states(home) == ["submitting"]
    assert finished(home) == 3
    (reason,) = home.reasons().values()
    assert reason["code"] == "submission_unconfirmed"
    assert "stemwatch retry" in reason["hint"]
    assert (home.quarantine / "song.wav").is_file()
    assert home.sidecars() == {}
    assert finished(home) == 0  # nothing new in quarantine, and still no second POST
    assert len(server.requests("post")) == 1
    assert home.rows("SELECT count(*), sum(minutes) > 0 FROM spend") == [(1, 1)]


def test_a_kill_while_separating_picks_the_remote_jobs_up_by_id(
    home: Home, server: ScenarioServer
) -> None:
    """Both remote jobs go on without us; the next start asks for them at once and pays nothing."""
    server.scenario(job_seconds=3600)
    songs = ("one.wav", "two.wav")
    killed_when(home, lambda: len(server.paid["jobs"]) == 2 and _all(home, "separating"), *songs)
    asked = len(server.requests("get"))
    server.finish()
    assert finished(home) == 0
    assert_delivered_once(home, server, *songs)
    assert len(server.requests("post")) == 2
    later = {request["path"].rpartition("/jobs/")[2] for request in server.requests("get")[asked:]}
    assert later == {job["id"] for job in server.paid["jobs"]}


def _all(home: Home, state: str) -> bool:
    return set(states(home)) == {state}


def test_a_kill_while_downloading_keeps_the_stems_that_are_whole(
    home: Home, server: ScenarioServer
) -> None:
    """The first stem is committed, the second hangs: only the second is downloaded again."""
    server.scenario(download=[{}, {"hang": "head"}])
    killed_when(home, lambda: len(server.requests("download")) == 2, "song.wav")
    assert states(home) == ["separated"]
    assert home.sidecars() == {}  # nobody sees half a result
    kept = hidden_parts(home)
    assert list(kept) == ["vocals.wav"]
    assert finished(home) == 0
    assert_delivered_once(home, server, "song.wav")
    fetched = [request["path"].rsplit("/", 1)[-1] for request in server.requests("download")]
    assert fetched == ["vocals.wav", "instrumental.wav", "instrumental.wav"]
    (stem,) = home.outbox.glob("song/*Vocals*")
    assert (stem.stat().st_ino, stem.stat().st_mtime_ns) == kept["vocals.wav"]


@EITHER
@pytest.mark.skipif(shutil.which("strace") is None, reason="stops at a system call by strace")
@pytest.mark.parametrize(
    ("renamed", "state"), [("outbox/song", "separated"), ("inbox/song.wav", "delivered")]
)
@pytest.mark.timeout(400)
def test_a_kill_between_publishing_and_filing_ends_in_one_delivery(
    home: Home, server: ScenarioServer, renamed: str, state: str
) -> None:
    """SIGKILL at the very rename that shows the folder, or that files the original."""
    make_song(home.inbox / "song.wav", seconds=5)
    ran = _killed_at_rename(home, home.root / renamed)
    assert ran.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}, ran.stderr
    assert states(home) == [state]
    shown = home.sidecars()
    assert len(shown) == (state == "delivered")
    assert finished(home) == 0
    assert_delivered_once(home, server, "song.wav")
    assert all(folder in home.sidecars() for folder in shown)


@EITHER
def test_a_kill_after_the_rename_before_the_journal_finds_its_own_folder(
    home: Home, server: ScenarioServer
) -> None:
    """The folder is there, the journal does not know: it is recognised, not made a second time."""
    with home.service() as service:
        make_song(home.inbox / "song.wav", seconds=5)
        service.wait_for_event("job.done")
    # The moment between the two, put together by hand: original back, journal one step earlier.
    os.replace(home.archive / "song.wav", home.inbox / "song.wav")
    with closing(sqlite3.connect(home.state / "journal.sqlite3")) as db:
        db.execute("UPDATE jobs SET state = 'separated', delivered_to = NULL, filed_to = NULL")
        db.commit()
    downloads = len(server.requests("download"))
    assert finished(home) == 0
    assert_delivered_once(home, server, "song.wav")
    assert len(server.requests("download")) == downloads


def _killed_at_rename(home: Home, path: Path) -> subprocess.CompletedProcess[str]:
    """`run --once` under strace, killed just before it renames from or to `path`."""
    # It stops at every call: `--seccomp-bpf` would spare that, but then loses the signal (6.1).
    trace = ["strace", "-f", "-qq", "-o", str(home.root / "trace"), "-P", str(path)]
    kill = ["-e", "trace=renameat2", "-e", "inject=renameat2:signal=SIGKILL:error=EINTR:when=1"]
    ran = subprocess.run(
        [*trace, *kill, *STEMWATCH, "run", "-c", str(home.config), "--once"],
        cwd=home.root,
        env=home.env(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if "ptrace" in ran.stderr.lower():
        pytest.skip(f"strace can't trace here: {ran.stderr.strip()}")
    return ran


def _told_or_at_its_end(service: Service, event: str, songs: list[str]) -> bool:
    """A kill that comes late leaves nothing to deliver to the runs after it."""
    if service.events(event):
        return True
    found = states(service.home)
    left = {"queued", "submitting", "separating", "separated"} & set(found)
    return len(found) >= len(songs) and not left


def test_many_kills_in_a_row_pay_and_deliver_each_song_once(
    home: Home, server: ScenarioServer, wire: str
) -> None:
    """Killed after every step that the journal tells of, the songs still all arrive."""
    songs = [f"song-{number}.wav" for number in range(4)]
    for number, song in enumerate(songs):
        make_song(home.inbox / song, seconds=5 + number / 4, name=song)
    for event in ("job.queued", "job.delivered", "job.delivered"):
        with home.scaled_service(1, *LOOKED_FOR_SOON) as service:
            wait_for(partial(_told_or_at_its_end, service, event, songs), what=event)
            service.kill()
    in_doubt = home.rows("SELECT 1 FROM jobs WHERE state = 'submitting'")
    # Wire B lists its jobs: there it is found out.
    expected = 3 if in_doubt and wire == "separate" else 0
    assert finished_whatever_was_under_way(home) == expected
    done, held = home.sidecars(), home.reasons()
    assert {reason["code"] for reason in held.values()} <= {"submission_unconfirmed"}
    assert len(done) + len(held) == len(songs)
    assert len(server.paid["jobs"]) <= len(songs)
    assert max(server.paid["by_sha256"].values()) == 1


# -- a journal that is lost, damaged or somebody else's -------------------------------------


@EITHER
def test_a_lost_journal_is_made_again_from_the_sidecars(home: Home, server: ScenarioServer) -> None:
    """What was delivered before is reused when it is dropped again, under any name, unpaid."""
    make_song(home.inbox / "song.wav", seconds=5)
    assert finished(home) == 0
    shutil.rmtree(home.state)
    make_song(home.inbox / "again.wav", seconds=5)
    assert finished(home) == 0
    again = home.sidecars()["again"]
    assert again["reused_from"] == "song"
    assert server.paid["total"] == 1
    assert sorted(p.name for p in home.archive.iterdir()) == ["again.wav", "song.wav"]


@SEPARATE
def test_a_delivery_with_a_sidecar_of_the_first_schema_is_reused(
    home: Home, server: ScenarioServer
) -> None:
    """By a new journal, too; its stems are measured on the way."""
    folder = home.outbox / "Old Song"
    drop(folder / "Old Song (Vocals).wav", 901)
    drop(folder / "Old Song (Instrumental).wav", 902)
    shutil.copy(OLD, folder / "Old Song.stemwatch.json")
    drop(home.inbox / "again.wav", 900)
    assert finished(home) == 0
    again = home.sidecars()["again"]
    assert (again["schema"], again["reused_from"]) == ("stemwatch.sidecar/2", "Old Song")
    assert [stem["active_share"] for stem in again["stems"]] == [1.0, 1.0]
    assert server.requests("post") == []


@EITHER
@pytest.mark.parametrize(
    ("damage", "words"),
    [("garbage", "can't be opened"), ("newer", "newer"), ("foreign", "not a stemwatch journal")],
)
def test_a_journal_that_can_not_be_used_stops_the_service_and_stays_as_it_is(
    home: Home, server: ScenarioServer, damage: str, words: str
) -> None:
    """One sentence with the way out, exit 1, not a byte changed, nothing touched or sent."""
    home.state.mkdir()
    path = home.state / "journal.sqlite3"
    if damage == "garbage":
        path.write_bytes(b"\xde\xad\xbe\xef" * 5000)
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE recipes (name TEXT)")
            if damage == "newer":
                db.execute(f"PRAGMA application_id = {0x53574A31}")
                db.execute("PRAGMA user_version = 99")
            db.commit()
    before = path.read_bytes()
    make_song(home.inbox / "song.wav", seconds=5)
    ran = home.command("run", "-c", str(home.config), "--once")
    assert ran.returncode == 1
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert path.read_bytes() == before
    assert home.waiting() == ["song.wav"]
    assert server.log == []


@EITHER
def test_a_full_journal_disk_pauses_and_ends_by_itself(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Nothing is submitted while nothing can be remembered; room on the disk is all it takes."""
    if (why := why_no_mounts()) is not None:
        pytest.skip(why)
    with Tmpfs(tmp_path / "state", 32) as disk:
        home = Home(tmp_path, server.url)
        with home.scaled_service(0.02) as service:
            disk.fill()
            for number in range(12):
                make_song(home.inbox / f"song-{number}.wav", seconds=5, name=f"{number}")
            paused = service.wait_for_event("service.paused")
            assert paused["reason"] == "journal"
            assert "state_dir" in paused["hint"]
            disk.free()
            service.wait_for_event("job.done", count=12)
            assert service.events("service.resumed")[-1]["reason"] == "journal"
        assert service.process.returncode == 0
        assert_delivered_once(home, server, *(f"song-{number}.wav" for number in range(12)))


# -- filed by hand --------------------------------------------------------------------------


def test_a_quarantined_file_moved_back_by_hand_resumes_where_it_was_paid(
    home: Home, server: ScenarioServer
) -> None:
    """Its stems never came whole; they are fetched again from the remote job that was paid."""
    server.scenario(download=[{"status": 200, "body": "no audio", "times": "ever"}])
    make_song(home.inbox / "song.wav", seconds=5)
    with home.scaled_service(0.02) as service:
        service.wait_for_event("job.quarantined")
        server.scenario(download=[])
        wait_for(lambda: filed(home))
        os.replace(home.quarantine / "song.wav", home.inbox / "song.wav")
        service.wait_for_event("job.done")
    assert len(server.requests("post")) == 1
    (sidecar,) = home.sidecars().values()
    assert sidecar["separation"]["job_id"] == server.paid["jobs"][0]["id"]
    assert (home.archive / "song.wav").is_file()


@EITHER
def test_an_original_taken_away_once_it_is_paid_for_is_delivered_all_the_same(
    home: Home, server: ScenarioServer
) -> None:
    """Only its tags are missed, and that is told; the stems are worth the song's price."""
    server.scenario(job_seconds=3600)
    song = make_song(home.inbox / "song.wav", seconds=5)
    with home.scaled_service(0.02) as service:
        wait_for(lambda: home.journal_count("separating"))
        song.unlink()
        server.finish()
        service.wait_for_event("job.done")
        assert service.events("job.tags")
        assert not service.events("job.waits")
    assert list(home.sidecars()) == ["song"]
    assert server.paid["total"] == 1


@SEPARATE
def test_the_content_of_an_unconfirmed_file_is_held_under_any_name(
    home: Home, server: ScenarioServer
) -> None:
    """Dropped again before anybody decided, it would be paid for twice: it waits beside it."""
    server.scenario(post=[{"close": "end", "accept": True}])
    make_song(home.inbox / "song.wav", seconds=5)
    with home.service() as service:
        service.wait_for_event("job.quarantined")
        make_song(home.inbox / "copy.wav", seconds=5)
        service.wait_for_event("job.quarantined", count=2)
        wait_for(lambda: len(home.reasons()) == 2)
    codes = {name: reason["code"] for name, reason in home.reasons().items()}
    assert codes == {"song.wav": "submission_unconfirmed", "copy.wav": "duplicate_in_quarantine"}
    assert "stemwatch retry" in home.reasons()["copy.wav"]["hint"]
    assert len(server.requests("post")) == 1


@SEPARATE
def test_an_unconfirmed_file_moved_back_by_hand_is_submitted_with_its_old_key(
    home: Home, server: ScenarioServer
) -> None:
    """Moving it back is a person's decision; the same key lets a server that knows it not charge
    again. The budget counts both: nobody told whether this one does."""
    server.scenario(honour_idempotency=True, post=[{"close": "end", "accept": True}])
    make_song(home.inbox / "song.wav", seconds=5)
    with home.service() as service:
        service.wait_for_event("job.quarantined")
        wait_for(lambda: filed(home))
        os.replace(home.quarantine / "song.wav", home.inbox / "song.wav")
        service.wait_for_event("job.done")
    keys = {request["headers"]["idempotency-key"] for request in server.requests("post")}
    assert len(server.requests("post")) == 2
    assert len(keys) == 1
    assert server.paid["total"] == 1
    assert len(home.rows("SELECT * FROM spend")) == 2


# -- one at a time, and the end of --once ---------------------------------------------------


@EITHER
def test_a_second_service_on_the_same_state_is_refused(home: Home) -> None:
    """Exit 75 with the other's pid; the first one goes on."""
    with home.service() as service:
        second = home.command("run", "-c", str(home.config))
        assert second.returncode == 75
        assert str(service.process.pid) in second.stderr
        assert service.process.poll() is None
    assert service.process.returncode == 0


@pytest.mark.parametrize(
    ("step", "code", "where"),
    [
        ({}, 0, "archive"),
        ({"status": 415}, 3, "quarantine"),
        ({"status": 401, "times": "ever"}, 1, "inbox"),
    ],
)
def test_once_says_by_its_exit_code_how_it_went(
    home: Home, server: ScenarioServer, step: dict[str, Any], code: int, where: str
) -> None:
    """0: all delivered. 3: some in quarantine. 1: some held back, by a bad key for example."""
    server.scenario(post=[step] if step else [])
    make_song(home.inbox / "song.wav", seconds=5)
    assert finished(home) == code
    assert (home.root / where / "song.wav").is_file()


@EITHER
def test_a_reboot_that_numbers_the_disks_anew_changes_nothing(
    home: Home, server: ScenarioServer
) -> None:
    """Originals that stay in the inbox are known by inode, size and time, whatever the device."""
    home.configure(server.url, folders={"after_success": "keep"})
    make_song(home.inbox / "kept.wav", seconds=5)
    assert home.command("run", "--once").returncode == 0
    before = home.rows("SELECT id, state, updated_at FROM jobs")
    with closing(sqlite3.connect(home.state / "journal.sqlite3")) as db, db:
        (text,) = db.execute("SELECT identity FROM jobs").fetchone()
        device, rest = text.split(":", 1)
        db.execute("UPDATE jobs SET identity = ?", (f"{int(device) + 1}:{rest}",))
    assert home.command("run", "--once").returncode == 0
    assert home.rows("SELECT id, state, updated_at FROM jobs") == before
    assert list(home.sidecars()) == ["kept"]


def its_disk_is_away(home: Home, folder: Path) -> None:
    """As an earlier run noted: the empty folder is where another disk was mounted."""
    noted = quote(f"{folder.stat().st_dev + 1} {folder}")
    with closing(sqlite3.connect(home.state / "journal.sqlite3")) as db, db:
        name = f"disk of {quote(str(folder))}"
        changed = db.execute("UPDATE meta SET value = ? WHERE name = ?", (noted, name))
        assert changed.rowcount == 1


@EITHER
def test_once_does_not_wait_for_an_inbox_whose_disk_is_away(
    home: Home, server: ScenarioServer
) -> None:
    """A cron job must end, and say why: the empty folder is where the disk used to be mounted."""
    make_song(home.inbox / "first.wav", seconds=5)
    assert home.command("run", "--once").returncode == 0
    its_disk_is_away(home, home.inbox)
    ended = home.command("run", "--once")
    assert ended.returncode == 1
    assert "put any file into it" in ended.stderr
    assert server.paid["total"] == 1


@SEPARATE
def test_once_tells_of_a_song_that_could_not_be_taken_in(
    home: Home, server: ScenarioServer
) -> None:
    """Was its content taken back out of quarantine? That disk is away: nobody knows. It said 0."""
    server.scenario(post=[{"status": 415}])
    make_song(home.inbox / "song.wav", seconds=5)
    assert home.command("run", "--once").returncode == 3
    shutil.copy(home.quarantine / "song.wav", home.inbox / "again.wav")
    home.quarantine.rename(home.root / "the disk")
    home.quarantine.mkdir()
    its_disk_is_away(home, home.quarantine)
    ended = home.command("run", "--once")
    assert ended.returncode == 1, ended.stderr
    assert "is not mounted" in ended.stderr
    assert "still to do: files in the inbox that could not be taken in" in ended.stderr
    assert (home.waiting(), server.paid["total"]) == (["again.wav"], 0)
