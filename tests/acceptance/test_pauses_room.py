"""No room for the stems, and an absent disk: nothing is paid for that has nowhere to go."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.acceptance.harness import EITHER, SEPARATE, Home
from tests.acceptance.pauses import QUICK, SCALE, paused, resumed, wait_until_done
from tests.acceptance.songs import drop
from tests.faults.disks import Tmpfs, why_no_mounts
from tests.support.clustered import scripted
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


def small_disk(folder: Path, megabytes: int = 16) -> Tmpfs:
    """A disk of that size, to be mounted at `folder`; skips the test where that can't be done."""
    if (why := why_no_mounts()) is not None:
        pytest.skip(why)
    return Tmpfs(folder, megabytes)


@EITHER
def test_a_full_outbox_submits_nothing_until_there_is_room(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Results must have somewhere to go before anything is paid; freeing space is enough."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    with small_disk(home.outbox), home.scaled_service(SCALE) as service:
        ballast = home.outbox / "somebody's file"
        ballast.write_bytes(bytes(13 << 20))
        drop(home.inbox / "song.wav")
        event = paused(service, "room")
        assert str(home.outbox) in event["message"]
        assert "Free some space" in event["hint"]
        scans = home.status()["watcher"]["scans"]
        wait_for(lambda: home.status()["watcher"]["scans"] > scans + 1)
        assert server.requests("post") == []
        assert home.waiting() == ["song.wav"]
        ballast.unlink()
        wait_until_done(service)
        assert resumed(service) == ["room"]
        assert len(home.sidecars()) == 1
    assert server.paid["total"] == 1


@SEPARATE
def test_short_songs_pass_by_one_for_whose_stems_there_is_no_room(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """It held back all others of its inbox. It waits, is told of once, and comes with the room."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    # The stems of 5 s may take 8 MB, those of 60 s 50 MB.
    with small_disk(home.outbox, 60), home.scaled_service(SCALE) as service:
        ballast = home.outbox / "somebody's file"
        ballast.write_bytes(bytes(30 << 20))
        drop(home.inbox / "long.wav", 1, seconds=60)
        event = paused(service, "room")
        for number in range(2, 5):
            drop(home.inbox / f"short{number}.wav", number, seconds=5)
        wait_until_done(service, 3)
        assert home.waiting() == ["long.wav"]
        assert [pause["message"] for pause in home.status()["pauses"]] == [event["message"]]
        ballast.unlink()
        wait_until_done(service, 4)
        assert len(service.events("service.paused")) == 1
        assert resumed(service) == ["room"]
        assert "stems of long.wav" in event["message"]
        assert service.events("job.waits") == []
    assert server.paid["total"] == 4


@SEPARATE
def test_once_ends_when_only_a_song_without_room_is_left(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """More short songs than seem to have room: their stems take less, which the next look shows."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    drop(home.inbox / "long.wav", 1, seconds=150)
    for number in range(2, 6):
        drop(home.inbox / f"short{number}.wav", number, seconds=5)
    once = home.scaled_service(SCALE, "--once", "disk_recheck=0.5")
    with small_disk(home.outbox, 20), once as service:
        assert service.process.wait(60) == 1
        assert home.waiting() == ["long.wav"]
        assert [held["reason"] for held in service.events("service.held")] == ["room"]
    assert server.paid["total"] == 4


@EITHER
@scripted
@pytest.mark.parametrize("which", ["outbox", "archive"])
def test_nothing_is_put_below_the_mount_point_of_an_absent_disk(
    tmp_path: Path, server: ScenarioServer, which: str
) -> None:
    """Unmounted at work, or not mounted yet at a start: nothing is paid until the disk is back."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    folder: Path = getattr(home, which)
    with small_disk(folder) as disk:
        with home.scaled_service(SCALE):
            pass  # the disk is known from now on
        with home.scaled_service(SCALE) as service:
            subprocess.run(["umount", "-l", str(folder)], check=True)
            drop(home.inbox / "song.wav")
            event = paused(service, "disk")
            assert event["message"] == f"{folder}: its disk, {folder}, is not mounted."
        with home.scaled_service(SCALE) as service:
            assert "is not mounted" in paused(service, "disk")["message"]
            assert server.requests("post") == []
            assert [p for p in folder.iterdir() if not p.name.startswith(".")] == []
            disk.mount()
            wait_until_done(service)
            assert resumed(service) == ["disk"]
            assert list(home.sidecars()) == ["song"]
    assert server.paid["total"] == 1
