"""`pause`, `resume`, `schedule` and `first` beside a running service, and across its death."""

from __future__ import annotations

import re
import time
from pathlib import Path

import yaml

from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


def run(home: Home, *arguments: str) -> str:
    done = home.command(*arguments, "-c", str(home.config))
    assert done.returncode == 0, done.stderr
    return done.stdout


def window(begin: int, end: int) -> str:
    """The hours from `begin` to `end` hours from now."""
    now = time.time()
    return "-".join(time.strftime("%H:%M", time.localtime(now + n * 3600)) for n in (begin, end))


def queued(home: Home, count: int) -> None:
    wait_for(lambda: home.journal_count("queued") == count, what=f"{count} queued")


def told(home: Home, *pauses: tuple[str, str | None]) -> None:
    """Wait until the status file, which the service writes once a second, has these pauses."""
    wait_for(
        lambda: [(p["code"], p["inbox"]) for p in home.status()["pauses"]] == [*pauses],
        what=f"{pauses} in the status",
    )


def test_a_pause_beside_the_service_holds_until_it_is_resumed(tmp_path: Path, wire: str) -> None:
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.05) as server:
        home = Home(tmp_path, server.url)
        with home.service() as service:
            words = run(home, "pause", "--until", "2h")
            assert "(in 2 h)" in words
            assert "nothing new is submitted" in words
            assert "`stemwatch resume`" in words
            service.wait_for_event("service.paused")
            drop(home.inbox / "song.wav")
            queued(home, 1)
            # Its round is over, and the pool had its turns: still nothing was sent.
            scans = home.status()["watcher"]["scans"]
            wait_for(lambda: home.status()["watcher"]["scans"] > scans + 1)
            assert server.paid["total"] == 0
            assert "Paused by " in run(home, "status")
            assert "paused by " in run(home, "resume") + run(home, "pause").lower()
            run(home, "resume")
            wait_for(home.sidecars)
            assert "Paused" not in run(home, "status")
    assert server.paid["total"] == 1


def test_a_pause_outlives_a_kill_and_what_is_paid_is_delivered(tmp_path: Path) -> None:
    with ScenarioServer(key=KEY, job_seconds=0.1) as server:
        server.scenario(jobs=[{"seconds": 3600}])
        home = Home(tmp_path, server.url)
        with home.service() as service:
            drop(home.inbox / "paid.wav", number=1)
            wait_for(lambda: home.journal_count("separating") == 1)
            run(home, "pause")
            drop(home.inbox / "held.wav", number=2)
            queued(home, 1)
            service.kill()
        server.finish()
        words = run(home, "status")
        assert "Paused by " in words  # also while none runs
        assert "1 song was submitted before the service ended: the next start goes on" in words
        with home.service() as service:
            wait_for(lambda: list(home.sidecars()) == ["paid"])
            told(home, ("on_hold", None))
            assert home.journal_count("queued") == 1
        assert server.paid["total"] == 1
        done = home.command("run", "--once", "-c", str(home.config))
        assert done.returncode == 1  # it does not hang, and says what is left and why
        assert "service.held" in done.stderr
        assert "`stemwatch resume` ends it" in done.stderr
        assert server.paid["total"] == 1
        run(home, "resume")
        assert home.command("run", "--once", "-c", str(home.config)).returncode == 0
    assert sorted(home.sidecars()) == ["held", "paid"]


def test_a_pause_holds_though_its_bell_was_not_heard(tmp_path: Path) -> None:
    """The bell is a pipe; the order is in the journal, in whose transaction songs are booked."""
    with ScenarioServer(key=KEY, job_seconds=0.05) as server:
        home = Home(tmp_path, server.url)
        with home.service() as service:
            (home.state / "doorbell").unlink()
            run(home, "pause")
            assert not service.events("service.paused")
            drop(home.inbox / "song.wav")
            service.wait_for_event("service.paused")
            assert home.journal_count("queued") == 1
            assert server.paid["total"] == 0
            service.stop()
        with home.service():  # which makes the pipe again
            run(home, "resume")
            wait_for(home.sidecars)
    assert server.paid["total"] == 1


def test_a_split_runs_now_and_says_so(tmp_path: Path) -> None:
    with ScenarioServer(key=KEY, job_seconds=0.05) as server:
        home = Home(tmp_path, server.url, schedule={"submit": window(2, 3)})
        run(home, "pause")
        song = drop(tmp_path / "song.wav")
        done = home.command("split", str(song), "-o", str(tmp_path / "out"))
        assert done.returncode == 0, done.stderr
        assert "The service is paused by" in done.stdout + done.stderr
        assert "not the hours of schedule.submit; `split`" in done.stdout + done.stderr
    assert server.paid["total"] == 1


def test_a_pause_ends_by_itself(tmp_path: Path) -> None:
    with ScenarioServer(key=KEY, job_seconds=0.05) as server:
        home = Home(tmp_path, server.url)
        run(home, "pause", "--until", "1h")  # before there is a journal
        with home.service() as service:
            service.wait_for_event("service.paused")
            drop(home.inbox / "song.wav")
            run(home, "pause", "--until", "1s")  # not before: a slow start would come after its end
            service.wait_for_event("service.resumed")
            wait_for(home.sidecars)
    assert server.paid["total"] == 1


def test_only_the_hours_of_the_schedule_pay(tmp_path: Path) -> None:
    """And a reload takes other hours at once."""
    closed = window(2, 3)
    begins = closed.partition("-")[0]
    said = re.compile(rf"submitting begins at (\d{{4}}-\d\d-\d\d )?{begins}\.")  # tomorrow's, too
    with ScenarioServer(key=KEY, job_seconds=0.05) as server:
        home = Home(tmp_path, server.url, schedule={"submit": closed})
        with home.service() as service:
            drop(home.inbox / "song.wav")
            queued(home, 1)
            told(home, ("off_hours", None))
            assert said.search(run(home, "status"))
            service.stop()
        done = home.command("run", "--once", "-c", str(home.config))
        assert done.returncode == 1
        assert said.search(done.stderr)
        assert said.search(run(home, "status"))
        assert server.paid["total"] == 0
        with home.service() as service:
            home.configure(server.url, schedule={"submit": "00:00-12:00, 12:00-24:00"})
            service.signal(1)
            wait_for(home.sidecars)
            told(home)
    assert server.paid["total"] == 1


def test_the_song_named_first_is_submitted_next(tmp_path: Path) -> None:
    names = ("one", "two", "three", "four")
    with ScenarioServer(key=KEY, job_seconds=0.05) as server:
        home = Home(tmp_path, server.url, api={"max_concurrent": 1})
        run(home, "pause")
        with home.service():
            for number, name in enumerate(names):
                drop(home.inbox / f"{name}.wav", number=number)
                queued(home, number + 1)
            drop(home.inbox / "Twice" / "one.wav", number=9)
            queued(home, 5)
            unclear = home.command("first", "one.wav", "-c", str(home.config))
            assert unclear.returncode == 2
            assert "Twice/one.wav" in unclear.stderr
            near = home.command("first", "fuor.wav", "-c", str(home.config))
            assert near.returncode == 1
            assert "Did you mean four.wav" in near.stderr
            words = run(home, "first", "three.wav")
            assert "three.wav goes next once the pause is over (`stemwatch resume`" in words
            run(home, "first", "four.wav", "Twice/one.wav")
            lines = run(home, "status", "-v").splitlines()
            begin = lines.index("Queue: 5 queued") + 1
            assert [line.split(maxsplit=1)[1] for line in lines[begin : begin + 5]] == [
                *(f"{name}, put first" for name in ("four.wav", "Twice/one.wav", "three.wav")),
                *("one.wav", "two.wav"),
            ]
            run(home, "resume")
            wait_for(lambda: home.journal_count("done") == 5)
            for name in ("2", "two.wav"):
                late = home.command("first", name, "-c", str(home.config))
                assert late.returncode == 1
                assert f"queue: it was delivered to {home.outbox / 'two'}." in late.stderr
    rows = home.rows("SELECT relpath FROM jobs ORDER BY submitted_at")
    order = [bytes(row[0]).decode() for row in rows]
    assert order == ["four.wav", "Twice/one.wav", "three.wav", "one.wav", "two.wav"]


def test_first_is_before_the_songs_of_other_inboxes_and_their_hours_differ(tmp_path: Path) -> None:
    """One inbox has no hours of its own, one is closed now: its songs wait, named first or not."""
    names = ("a", "b", "night")
    with ScenarioServer(key=KEY, job_seconds=0.05) as server:
        home = Home(tmp_path, server.url, api={"max_concurrent": 1})
        whole = yaml.safe_load(home.config.read_text())
        folders = whole.pop("folders")
        whole["inboxes"] = {
            name: {"folders": {one: f"{name}/{one}" for one in folders}} for name in names
        }
        whole["inboxes"]["night"]["schedule"] = {"submit": window(2, 3)}
        home.config.write_text(yaml.safe_dump(whole))
        for number, name in enumerate(names):
            for count in (1, 2):
                drop(home.root / name / "inbox" / f"{name}{count}.wav", 2 * number + count)
        run(home, "pause")
        with home.service():
            queued(home, 6)
            run(home, "first", "night2.wav", "b2.wav")
            run(home, "resume")
            wait_for(lambda: home.journal_count("done") == 4)
            told(home, ("off_hours", "night"))
            assert "Songs of night wait outside the hours" in run(home, "status")
            assert home.journal_count("queued") == 2
    rows = home.rows("SELECT relpath FROM jobs WHERE submitted_at > 0 ORDER BY submitted_at")
    assert bytes(rows[0][0]) == b"b2.wav"
    assert server.paid["total"] == 4
