"""A fault of our own: the service pauses, the inbox is untouched, nothing is paid meanwhile."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.harness import EITHER, KEY, SEPARATE, Home, Service
from tests.acceptance.songs import drop, encode
from tests.support.audio_samples import with_endless_vendor
from tests.support.broken import (
    INTAKE,
    MIX_CRASH,
    NO_DESCRIPTOR,
    STEP,
    TAGS_CRASH,
    TYPE_ERROR,
    Broken,
)
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

QUICK = {"settle_seconds": 0.05, "rescan_seconds": 1}


@pytest.fixture
def home(tmp_path: Path, server: ScenarioServer) -> Home:
    return Home(tmp_path, watch=QUICK, base_url=server.url)


@SEPARATE
def test_a_wrong_library_pauses_until_it_is_mended(
    tmp_path: Path, home: Home, server: ScenarioServer
) -> None:
    """Every song waits in the inbox, no reason is written; after `pip install` they go through."""
    broken = Broken(tmp_path)
    home.extra_env |= broken.env
    broken.by(TYPE_ERROR.format(of=""))
    names = [f"song{number}.wav" for number in range(3)]
    with home.scaled_service(0.01, "account_first=0.3", "unreadable_gap=0.5") as service:
        for number, name in enumerate(names):
            drop(home.inbox / name, number)
        event = service.wait_for_event("service.paused")
        assert event["reason"] == "audio_helper"
        assert "TypeError" in event["message"]
        assert "-m pip install --upgrade" in event["hint"]
        assert home.waiting() == names
        assert (home.reasons(), server.requests("post")) == ({}, [])
        broken.mend()
        wait_for(lambda: len(home.sidecars()) == 3, what=f"delivered in\n{service.text()}")
        assert service.wait_for_event("service.resumed")["reason"] == "audio_helper"
    assert home.reasons() == {}


@SEPARATE
def test_one_run_over_a_broken_installation_says_that_nothing_was_done(
    tmp_path: Path, home: Home, server: ScenarioServer
) -> None:
    """`run --once` exits 1, with what is wrong; the song is where it was."""
    broken = Broken(tmp_path)
    home.extra_env |= broken.env
    broken.by(TYPE_ERROR.format(of=""))
    drop(home.inbox / "song.wav")
    told = home.command("run", "-c", str(home.config), "--once")
    assert told.returncode == 1, told.stdout + told.stderr
    assert "TypeError" in told.stdout + told.stderr
    assert (home.waiting(), home.reasons(), server.requests("post")) == (["song.wav"], {}, [])


@SEPARATE
def test_one_song_that_meets_a_fault_of_ours_holds_up_nobody(tmp_path: Path, home: Home) -> None:
    """With other sound the installation works: this one song is quarantined, to be reported."""
    broken = Broken(tmp_path)
    home.extra_env |= broken.env
    broken.by(TYPE_ERROR.format(of="odd.wav"))
    for number, name in enumerate(["odd.wav", "one.wav", "two.wav"]):
        drop(home.inbox / name, number)
    told = home.command("run", "-c", str(home.config), "--once")
    assert told.returncode == 3, told.stdout + told.stderr
    assert len(home.sidecars()) == 2
    assert home.reasons()["odd.wav"]["code"] == "internal"
    assert "report" in home.reasons()["odd.wav"]["hint"]


@EITHER
@pytest.mark.parametrize("kind", ["they crash", "they want all memory"])
def test_what_is_paid_for_is_delivered_whatever_its_tags_do(
    tmp_path: Path, home: Home, server: ScenarioServer, kind: str
) -> None:
    """A reader that ends its process, or raises MemoryError: they come without, with a note."""
    if kind == "they crash":
        broken = Broken(tmp_path)
        home.extra_env |= broken.env
        broken.by(TAGS_CRASH)
        drop(home.inbox / "song.wav")
    else:
        with_endless_vendor(encode(home.inbox / "song.flac"))
    home.configure(
        server.url, watch=QUICK, separation={"mixes": {"both": ["vocals", "instrumental"]}}
    )
    told = home.command("run", "-c", str(home.config), "--once")
    assert told.returncode == 0, told.stdout + told.stderr
    (found,) = home.sidecars().values()
    assert [stem["id"] for stem in found["stems"]] == ["vocals", "instrumental", "both"]
    assert "job.tags" in told.stdout + told.stderr
    assert len(server.requests("post")) == 1
    assert home.reasons() == {}


@SEPARATE
def test_a_mix_that_can_not_be_made_costs_itself_only(
    tmp_path: Path, home: Home, server: ScenarioServer
) -> None:
    """Paid stems were withheld for good: each `retry` mixed them once more. A later drop does."""
    broken = Broken(tmp_path)
    home.extra_env |= broken.env
    broken.by(MIX_CRASH)
    home.configure(
        server.url, watch=QUICK, separation={"mixes": {"both": ["vocals", "instrumental"]}}
    )
    for name in ("song", "again"):
        drop(home.inbox / f"{name}.wav")
        told = home.command("run", "-c", str(home.config), "--once")
        assert told.returncode == 0, told.stdout + told.stderr
        if name == "song":
            assert re.search(r"job\.mix\W.*delivered without it", told.stdout + told.stderr)
            broken.mend()
    mixes = {
        name: [stem["id"] for stem in one["stems"]][2:] for name, one in home.sidecars().items()
    }
    assert mixes == {"song": [], "again": ["both"]}
    broken.by(MIX_CRASH)
    song = str(home.inbox / "split.wav")
    drop(Path(song))
    for _ in range(2):  # the second run finds the first one's folder, although it lacks the mix
        told = home.command("split", song, "-c", str(home.config), "-o", str(tmp_path / "out"))
        assert told.returncode == 0, told.stdout + told.stderr
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["split"]
    assert len(server.requests("post")) == 1
    assert home.reasons() == {}


@contextmanager
def service(home: Home, *options: str) -> Iterator[Service]:
    """The service in a Python of its own: it runs what breaks it at its very start."""
    command = [sys.executable, "-X", "utf8", "-m", "tests.acceptance.scaled", "0.001"]
    # What a server and a line may take does not become shorter in a test.
    patience = ("download_stall=600", "hold_max=45")
    with Service(home, [*command, str(home.config), *patience, *options], KEY) as running:
        yield running


@SEPARATE
def test_a_fault_in_a_step_pauses_and_rejects_nobody(
    tmp_path: Path, home: Home, server: ScenarioServer
) -> None:
    """It is told with its traceback; a service that is mended delivers what was paid for, once."""
    broken = Broken(tmp_path)
    home.extra_env |= broken.env
    broken.by(STEP.format(of=""))
    with service(home) as running:
        for number in range(2):
            drop(home.inbox / f"song{number}.wav", number)
        running.wait_for_event("job.error", count=6)
        told = running.wait_for_event("service.paused")
        assert told["reason"] == "internal"
        assert "AttributeError" in told["message"]
        assert "_staged" in running.events("job.error")[0]["exception"]
        assert (home.reasons(), len(home.waiting())) == ({}, 2)
    broken.mend()
    with service(home) as running:
        wait_for(lambda: len(home.sidecars()) == 2, what=f"delivered in\n{running.text()}")
    assert (home.reasons(), len(server.requests("post"))) == ({}, 2)


@SEPARATE
def test_one_song_that_a_step_fails_for_lets_the_others_go_on(
    tmp_path: Path, home: Home, server: ScenarioServer
) -> None:
    """They show that the step works: it is quarantined, and nothing is paid again for it.

    One run over the inbox waits for that, too: the pause is not its end.
    """
    broken = Broken(tmp_path)
    home.extra_env |= broken.env
    broken.by(STEP.format(of="odd.wav"))
    for number, name in enumerate(["odd.wav", "one.wav", "two.wav"]):
        drop(home.inbox / name, number)
    with service(home, "--once") as running:
        assert running.process.wait(timeout=60) == 3, running.text()
    assert len(home.sidecars()) == 2
    assert home.reasons()["odd.wav"]["code"] == "internal"
    assert len(server.requests("post")) == 3


@SEPARATE
def test_a_fault_while_songs_are_taken_in_pauses_and_is_not_met_at_every_round(
    tmp_path: Path, home: Home, server: ScenarioServer
) -> None:
    """It was met again every few seconds for years, and nobody was told but the log."""
    broken = Broken(tmp_path)
    home.extra_env |= broken.env
    broken.by(INTAKE.format(of=""))
    with service(home) as running:
        drop(home.inbox / "song.wav")
        told = running.wait_for_event("service.paused")
        assert told["reason"] == "internal"
        assert "AttributeError" in told["message"]
        scans = home.status()["watcher"]["scans"]
        wait_for(lambda: home.status()["watcher"]["scans"] >= scans + 3)
        assert len([e for e in running.events("file.error") if "path" in e]) == 1
        (listed,) = home.status()["unreadable"]
        assert listed["path"] == str(home.inbox / "song.wav")
    with service(home, "--once") as running:
        assert running.process.wait(timeout=60) == 1, running.text()
    broken.mend()
    with service(home, "--once") as running:
        assert running.process.wait(timeout=60) == 0, running.text()
    assert (home.reasons(), len(server.requests("post"))) == ({}, 1)


@SEPARATE
def test_a_sidecar_that_can_not_be_opened_for_a_moment_is_waited_for(
    tmp_path: Path, home: Home, server: ScenarioServer
) -> None:
    """It counted as damaged, and the song was paid for again."""
    broken = Broken(tmp_path)
    home.extra_env |= broken.env
    broken.by(NO_DESCRIPTOR)
    with service(home) as running:
        for count, name in enumerate(["song", "again"], 1):
            drop(home.inbox / f"{name}.wav")
            running.wait_for_event("job.done", count=count)
        (waits,) = running.events("job.waits")
        assert waits["code"] == "outbox_blocked"
        assert running.events("job.not_reused") == []
    assert home.sidecars()["again"]["reused_from"] == "song"
    assert len(server.requests("post")) == 1
