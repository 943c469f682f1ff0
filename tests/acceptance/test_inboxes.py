"""Several people, several folders: one service, one journal and one pace, and nobody in the way."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.harness import SEPARATE, Home
from tests.acceptance.pauses import paused
from tests.acceptance.shared import NAMES, QUICK, Shared
from tests.acceptance.songs import drop
from tests.faults.disks import Tmpfs, why_no_mounts
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

pytestmark = SEPARATE  # whose song it is never reaches the wire


def test_each_song_goes_to_its_own_outbox_with_its_own_options(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Separation, presets and quarantine are each inbox's; a retry brings a song back to it."""
    shared = Shared(
        tmp_path,
        server,
        dj={"separation": {"stems": 4}, "presets": {"live": {"stems": 6}}},
        separation={"format": "flac"},
    )
    dj, karaoke = shared.dj, shared.karaoke
    with shared.home.service() as service:
        drop(dj.inbox / "one.wav", 1)
        drop(dj.inbox / "live" / "two.wav", 2)
        drop(karaoke.inbox / "live" / "three.wav", 3)
        (karaoke.inbox / "broken.wav").write_bytes(b"no song at all" * 99)
        service.wait_for_event("job.done", count=3)
        wait_for(lambda: list(karaoke.reasons()) == ["broken.wav"])
        again = shared.home.command("retry", "--all", "-c", str(shared.home.config))
        assert f"{karaoke.inbox}/broken.wav" in again.stdout
        service.wait_for_event("job.quarantined", count=2)
        # A starved machine may find a watcher late, and it is looked at again a second later.
        wait_for(lambda: all(one["watcher"]["healthy"] for one in shared.status()["inboxes"]))
        status = shared.status()
    made = {
        name: (sidecar["separation"]["stems"], sidecar["separation"]["format"])
        for one in (dj, karaoke)
        for name, sidecar in one.sidecars().items()
    }
    assert made["one"] == (4, "flac")
    assert made["live/two"] == (6, "flac")
    assert made["live/three"] == (2, "flac")
    assert sorted(dj.sidecars()) == ["live/two", "one"]
    assert (dj.archive / "live" / "two.wav").exists()
    assert (karaoke.archive / "live" / "three.wav").exists()
    assert dj.reasons() == {}
    assert [inbox["name"] for inbox in status["inboxes"]] == ["dj", "karaoke"]
    assert [inbox["queue"]["done"] for inbox in status["inboxes"]] == [2, 1]
    assert status["queue"]["done"] == 3


def test_a_budget_that_is_used_up_holds_its_own_inbox_only(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Each counts its own minutes; the top level's are those of all together."""
    shared = Shared(
        tmp_path,
        server,
        dj={"budget": {"minutes_per_day": 7.5 / 60}},
        budget={"minutes_per_day": 18.5 / 60},
    )
    with shared.home.service() as service:
        for number in range(2):
            drop(shared.dj.inbox / f"dj{number}.wav", number)
        service.wait_for_event("job.queued", count=2)
        service.wait_for_event("job.done")
        for number in range(2, 6):
            drop(shared.karaoke.inbox / f"karaoke{number}.wav", number)
        service.wait_for_event("job.queued", count=6)
        service.wait_for_event("job.done", count=3)
        status = shared.status()
    assert len(shared.dj.sidecars()) == 1
    assert len(shared.karaoke.sidecars()) == 2  # the third would be the fourth of all
    assert server.paid["total"] == 3
    of_dj, of_karaoke = (inbox["budget"] for inbox in status["inboxes"])
    assert of_dj["holding"]["key"] == "inboxes.dj.budget.minutes_per_day"
    assert of_karaoke["holding"]["key"] == "budget.minutes_per_day"
    assert (of_dj["holding"]["files"], of_karaoke["holding"]["files"]) == (1, 2)
    assert of_karaoke["today"]["minutes"] == pytest.approx(10 / 60, abs=1e-3)


def test_songs_of_all_are_taken_in_turn_within_one_limit(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Many songs of one don't keep the other's waiting; the plan's parallel jobs are shared."""
    shared = Shared(tmp_path, server, api={"max_concurrent": 2})
    server.scenario(jobs=[{"seconds": 3600}] * 2)  # until all songs are there
    for number in range(12):
        drop(shared.dj.inbox / f"dj{number:02}.wav", number)
    with shared.home.service() as service:
        service.wait_for_event("job.queued", count=12)
        for number in range(12, 14):
            drop(shared.karaoke.inbox / f"karaoke{number}.wav", number)
        service.wait_for_event("job.queued", count=14)
        wait_for(lambda: server.paid["total"] == 2)  # it ends those that it has
        server.finish()
        service.wait_for_event("job.done", count=14)
        order = [event["name"][:2] for event in service.events("job.delivered")]
    assert order[-3:] == ["dj"] * 3  # the two of karaoke were not the last
    jobs = list(server.routes.ledger.jobs.values())
    at_once = [sum(one.accepted <= job.accepted < one.ends for one in jobs) for job in jobs]
    assert max(at_once) == 2


def test_an_outbox_that_is_away_holds_its_own_inbox_only(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Nothing of it is paid for meanwhile, the pause names it, and it goes on by itself."""
    shared = Shared(tmp_path, server)
    with shared.home.scaled_service(0.02) as service:
        shutil.rmtree(shared.karaoke.outbox)
        drop(shared.karaoke.inbox / "waits.wav", 1)
        assert paused(service, "disk")["inbox"] == "karaoke"
        drop(shared.dj.inbox / "goes.wav", 2)
        service.wait_for_event("job.done")
        assert server.paid["total"] == 1
        (pause,) = shared.status()["pauses"]
        assert (pause["code"], pause["inbox"]) == ("disk", "karaoke")
        shared.karaoke.outbox.mkdir()
        service.wait_for_event("job.done", count=2)
        assert service.wait_for_event("service.resumed")["inbox"] == "karaoke"
    assert list(shared.dj.sidecars()) == ["goes"]
    assert list(shared.karaoke.sidecars()) == ["waits"]


def test_a_full_disk_holds_its_own_inbox_only(tmp_path: Path, server: ScenarioServer) -> None:
    """What is spoken for on another disk takes no room from it; freed, it goes on by itself."""
    if (why := why_no_mounts()) is not None:
        pytest.skip(why)
    shared = Shared(tmp_path, server)
    shared.karaoke.outbox.mkdir(parents=True)
    with Tmpfs(shared.karaoke.outbox) as disk:
        ballast = disk.path / "ballast"
        ballast.write_bytes(b"\0" * (os.statvfs(disk.path).f_bavail * 4096 - (1 << 20)))
        with shared.home.scaled_service(0.02) as service:
            drop(shared.karaoke.inbox / "waits.wav", 1)
            assert paused(service, "room")["inbox"] == "karaoke"
            drop(shared.dj.inbox / "goes.wav", 2)
            service.wait_for_event("job.done")
            assert server.paid["total"] == 1
            ballast.unlink()
            service.wait_for_event("job.done", count=2)
        assert list(shared.karaoke.sidecars()) == ["waits"]
    assert list(shared.dj.sidecars()) == ["goes"]


def test_an_inbox_that_is_not_there_is_waited_for_while_the_other_is_served(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """At the start too: one person's absent disk is told, and keeps nobody else from starting."""
    shared = Shared(tmp_path, server)
    shared.karaoke.inbox.rmdir()
    drop(shared.dj.inbox / "goes.wav", 1)
    once = shared.home.command("run", "--once", "-c", str(shared.home.config))
    assert once.returncode == 1, once.stderr
    assert list(shared.dj.sidecars()) == ["goes"]
    assert "inboxes.karaoke.folders.inbox" in once.stdout + once.stderr
    with shared.home.scaled_service(0.02) as service:
        assert paused(service, "inbox")["inbox"] == "karaoke"
        shared.karaoke.inbox.mkdir()
        drop(shared.karaoke.inbox / "comes.wav", 2)
        service.wait_for_event("job.done")
        shutil.rmtree(shared.karaoke.inbox)
        drop(shared.dj.inbox / "goes too.wav", 3)
        service.wait_for_event("job.done", count=2)
    assert list(shared.karaoke.sidecars()) == ["comes"]
    shutil.rmtree(shared.dj.inbox)
    assert shared.home.command("run", "-c", str(shared.home.config)).returncode == 78


ODD = [("at the start", odd) for odd in ("outbox/.stemwatch", *NAMES)]
ODD += [("later", "outbox/.stemwatch"), ("later", "archive")]


@pytest.mark.parametrize(("when", "odd"), ODD)
def test_a_file_in_a_folders_place_holds_its_own_inbox_only(
    tmp_path: Path, server: ScenarioServer, odd: str, when: str
) -> None:
    """Told as a pause that says what to do, never as a traceback; taken away, work goes on."""
    shared = Shared(tmp_path, server, watch={**QUICK, "rescan_seconds": 0.3})
    blocking = shared.karaoke.root / odd

    def block() -> None:
        blocking.parent.mkdir(exist_ok=True)
        if blocking.is_dir():
            shutil.rmtree(blocking)
        blocking.write_text("a note of mine")

    if when == "at the start":
        block()
    with shared.home.scaled_service(0.02) as service:
        if when == "later":
            block()
        if odd != "inbox":
            drop(shared.karaoke.inbox / "waits.wav", 1)
        told = paused(service, "inbox" if odd == "inbox" else "disk")
        drop(shared.dj.inbox / "goes.wav", 2)
        service.wait_for_event("job.done")
        assert server.paid["total"] == 1
        blocking.unlink()
        if odd in NAMES:
            blocking.mkdir()
        if odd == "inbox":
            drop(shared.karaoke.inbox / "waits.wav", 1)
        service.wait_for_event("job.done", count=2)
        assert "Traceback" not in service.text()
        assert not service.events("job.error")
    assert told["inbox"] == "karaoke"
    assert told["hint"]
    assert list(shared.dj.sidecars()) == ["goes"]
    assert list(shared.karaoke.sidecars()) == ["waits"]


@pytest.mark.parametrize("odd", ["a file", "another account's"])
def test_an_odd_outbox_pauses_the_only_inbox(
    tmp_path: Path, server: ScenarioServer, odd: str
) -> None:
    """Nothing is paid for meanwhile; `check` names it, `--once` ends, and it goes on by itself."""
    home = Home(tmp_path, server.url, watch=QUICK)
    hidden = home.outbox / ".stemwatch"
    with ExitStack() as stack:
        if odd == "a file":
            home.outbox.mkdir()
            hidden.write_text("a note of mine")
        else:  # root may write everywhere but on a disk that is read-only
            if (why := why_no_mounts()) is not None:
                pytest.skip(why)
            stack.enter_context(disk := Tmpfs(hidden)).read_only(True)
        drop(home.inbox / "waits.wav", 1)
        checked = home.command("check", "-c", str(home.config))
        once = home.command("run", "--once", "-c", str(home.config))
        with home.scaled_service(0.02) as service:
            told = paused(service, "disk")
            assert server.paid["total"] == 0
            if odd == "a file":
                hidden.unlink()
            else:
                disk.umount()
            service.wait_for_event("job.done")
            assert "Traceback" not in service.text()
    assert (checked.returncode, once.returncode) == (78, 1)
    assert str(hidden) in checked.stdout
    assert str(hidden) in once.stderr
    assert "Traceback" not in once.stderr
    assert str(hidden) in told["message"]
    assert told["hint"]
    assert list(home.sidecars()) == ["waits"]


def test_what_both_drop_is_paid_once_and_delivered_to_both(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """The second has the first one's stems, cloned or copied once their sound matches."""
    shared = Shared(tmp_path, server)
    with shared.home.service() as service:
        drop(shared.dj.inbox / "mine.wav", 1)
        drop(shared.karaoke.inbox / "also mine.wav", 1)
        service.wait_for_event("job.done", count=2)
    assert server.paid["total"] == 1
    (first,), (second,) = shared.dj.sidecars().values(), shared.karaoke.sidecars().values()
    assert {s["audio_sha256"] for s in first["stems"]} == {
        s["audio_sha256"] for s in second["stems"]
    }
    assert sorted("reused_from" in one and bool(one["reused_from"]) for one in (first, second)) == [
        False,
        True,
    ]


def test_a_restart_in_the_middle_mixes_nothing_up(tmp_path: Path, server: ScenarioServer) -> None:
    """What was under way goes to the one whose it is, begun in the short form too."""
    shared = Shared(tmp_path, server, short="dj", api={"max_concurrent": 4})
    server.scenario(job_seconds=3600)
    with shared.home.service() as service:
        drop(shared.dj.inbox / "dj.wav", 1)
        wait_for(lambda: shared.home.journal_count("separating") == 1)
        service.kill()
    shared.configure(api={"max_concurrent": 4})
    with shared.home.service() as service:
        drop(shared.karaoke.inbox / "karaoke.wav", 2)
        known = "SELECT 1 FROM jobs WHERE inbox = 'karaoke' AND remote_id IS NOT NULL"
        wait_for(lambda: shared.home.rows(known))
        service.kill()
    server.finish()
    with shared.home.service() as service:
        service.wait_for_event("job.done", count=2)
        assert [one["queue"]["done"] for one in shared.status()["inboxes"]] == [1, 1]
    assert list(shared.dj.sidecars()) == ["dj"]
    assert list(shared.karaoke.sidecars()) == ["karaoke"]
    assert (shared.dj.archive / "dj.wav").exists()
    assert server.paid["total"] == 2


def test_an_inbox_that_is_taken_out_pays_for_nothing_more(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Its budget went with it: all that waited there was submitted at the next start."""
    shared = Shared(tmp_path, server, dj={"budget": {"minutes_per_day": 5.5 / 60}})
    dj, karaoke = shared.dj, shared.karaoke
    songs = [f"dj{number}.wav" for number in range(3)]
    runs = {"get": [{"merge": {"status": "processing"}, "times": "ever"}]}
    server.scenario(by_name=dict.fromkeys(songs, runs))
    with shared.home.service() as service:
        for number, name in enumerate(songs):
            drop(dj.inbox / name, number)
        (dj.inbox / "broken.wav").write_bytes(b"no song at all" * 99)
        service.wait_for_event("job.queued", count=3)
        wait_for(lambda: server.paid["total"] == 1)
        wait_for(lambda: list(dj.reasons()) == ["broken.wav"])
        shared.take_out("dj")
        service.signal(signal.SIGHUP)
        assert service.wait_for_event("config.needs_restart")["keys"] == ["inboxes.dj"]
        drop(karaoke.inbox / "one.wav", 7)
        wait_for(lambda: list(karaoke.sidecars()) == ["one"])
        assert server.paid["total"] == 2  # until the restart its budget is in force
    server.scenario(by_name={name: {"get": []} for name in songs})
    with shared.home.service() as service:
        assert {event["inbox"] for event in service.events("job.gone")} == {"dj"}
        drop(karaoke.inbox / "two.wav", 8)
        wait_for(lambda: list(karaoke.sidecars()) == ["one", "two"])
        wait_for(lambda: shared.home.journal_count("done") == 3)
        assert shared.status()["queue"]["queued"] == 0
        again = shared.home.command("retry", "--all", "-c", str(shared.home.config))
    assert "not in the configuration any more" in again.stdout + again.stderr
    assert server.paid["total"] == 3
    assert len(dj.sidecars()) == 1  # what was paid for is delivered
    assert len(dj.waiting()) == 3
    assert list(dj.reasons()) == ["broken.wav"]
    shared.configure()
    with shared.home.service():
        wait_for(lambda: len(dj.sidecars()) == 3)  # back again, without a budget
    assert server.paid["total"] == 5


@pytest.mark.parametrize("how", ["its inbox is taken out", "its inbox has another outbox"])
def test_an_outbox_that_is_no_longer_configured_is_waited_for(
    tmp_path: Path, server: ScenarioServer, how: str
) -> None:
    """Stems that are paid for do not land below its mount point, and nobody else waits for it."""
    if (why := why_no_mounts()) is not None:
        pytest.skip(why)
    shared = Shared(tmp_path, server)
    dj, karaoke = shared.dj, shared.karaoke
    server.scenario(jobs=[{"seconds": 3600}])
    with Tmpfs(dj.outbox) as disk:
        with shared.home.service() as service:
            drop(dj.inbox / "paid.wav", 1)
            wait_for(lambda: shared.home.journal_count("separating") == 1)
        disk.umount()
        if how == "its inbox is taken out":
            shared.take_out("dj")
            other, more = karaoke, []
        else:
            shared.configure(dj={"folders": {"outbox": "dj/new"}})
            other, more = dj, list(dj.outbox.glob("*"))
        server.finish()
        with shared.home.scaled_service(0.02) as service:
            service.wait_for_event("folder.refuses")
            assert list(dj.outbox.rglob("*")) == more
            drop(other.inbox / "goes.wav", 2)
            service.wait_for_event("job.done")
            assert not service.events("service.paused")
            disk.mount()
            service.wait_for_event("job.done", count=2)
        assert list(dj.sidecars()) == ["paid"]
    assert list(dj.outbox.rglob("*")) == []
    assert server.paid["total"] == 2
