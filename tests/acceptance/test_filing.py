"""Originals that can't be moved: told once, listed, tried again; everybody else's are moved."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import SCALED, SEPARATE, Home, Service
from tests.acceptance.songs import drop
from tests.faults.disks import Exfat, Ntfs, why_no_mounts
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for
from tests.support.warm import run as run_warm

pytestmark = SEPARATE  # what becomes of an original never reaches the wire


@pytest.fixture
def home(tmp_path: Path, server: ScenarioServer) -> Home:
    return Home(tmp_path, server.url, watch={"settle_seconds": 0.05})


def bad(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no song at all" * 99 + path.name.encode())
    return path


def block(home: Home, place: str, *, songs: int = 3) -> Path:
    """A file where `place` needs a folder, and as many songs that belong below it."""
    folder: Path = getattr(home, place)
    folder.mkdir()
    for number in range(songs):
        path = home.inbox / "album" / f"{number}.wav"
        bad(path) if place == "quarantine" else drop(path, number)
    blocking = folder / "album"
    blocking.write_text("a note of mine")
    return blocking


def listed(home: Home) -> list[dict[str, Any]]:
    asked = home.command("status", "--json", "-c", str(home.config))
    assert asked.returncode == 0, asked.stderr
    found: list[dict[str, Any]] = json.loads(asked.stdout)["unfiled"]
    return found


def once(home: Home) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    return run_warm(
        [*SCALED, "0.02", str(home.config), "--once"],
        cwd=home.root,
        env=home.env() | {"PYTHONPATH": root},
        timeout=60.0,
    )


def moved(service: Service, home: Home, relpath: str) -> None:
    """Wait until this song's original is in the archive."""
    wait_for(lambda: (home.archive / relpath).is_file(), what=service.text())


@pytest.mark.parametrize("place", ["archive", "quarantine"])
def test_a_file_in_the_place_of_a_folder_holds_nobody_else(home: Home, place: str) -> None:
    """More songs than there are seats: told once each, listed with the cause, never given up."""
    blocking = block(home, place)
    with home.scaled_service(0.02, "unfiled_max=0.1") as service:
        wait_for(lambda: len(found := listed(home)) == 3 and min(f["tries"] for f in found) > 6)
        for number in range(4, 7):
            drop(home.inbox / f"{number}.wav", number)
            moved(service, home, f"{number}.wav")
        bad(home.inbox / "bad.wav")
        wait_for(lambda: list(home.reasons()) == ["bad.wav"])
        (*_, last) = listed(home)
        text = home.command("status", "-c", str(home.config)).stdout
        told = service.events("job.unfiled")
        assert sorted(e["name"] for e in told if e["level"] == "warning") == [
            "0.wav",
            "1.wav",
            "2.wav",
        ]
        assert not service.events("service.paused")
        assert not service.events("job.error")
        blocking.unlink()
        folder: Path = getattr(home, place)
        wait_for(lambda: len(list((folder / "album").glob("?.wav"))) == 3, what=service.text())
        wait_for(lambda: listed(home) == [])  # the journal learns of it after the move
    assert last["code"] == "blocked"
    assert last["message"] == f"{blocking}: a file is where a folder is needed."
    assert last["state"] == ("delivered" if place == "archive" else "quarantined")
    assert "Can't be moved from the inbox: 3" in text
    assert text.count(f"{blocking}: a file is where a folder is needed.") == 3
    if place == "quarantine":
        codes = {reason["code"] for reason in home.reasons().values()}
        assert codes == {"not_audio"}, "the disk's trouble is not why it is there"


@pytest.mark.parametrize("place", ["archive", "quarantine"])
def test_once_ends_and_names_what_it_could_not_move(home: Home, place: str) -> None:
    """Exit 3; run again it tries at once, however long the service had come to wait."""
    blocking = block(home, place)
    drop(home.inbox / "fine.wav", 9)
    for _ in range(2):
        ended = once(home)
        assert ended.returncode == 3, ended.stderr
        events = [json.loads(line) for line in ended.stderr.splitlines() if line[:1] == "{"]
        named = [event for event in events if event["event"] == "service.unfiled"]
        assert sorted(event["name"] for event in named) == ["0.wav", "1.wav", "2.wav"]
        assert all(str(blocking) in event["message"] for event in named)
        assert (home.archive / "fine.wav").is_file()
        assert len(listed(home)) == 3
    blocking.unlink()
    assert once(home).returncode == 0
    assert listed(home) == []
    assert home.waiting() == []


@pytest.mark.parametrize("kind", [Exfat, Ntfs])
def test_names_that_an_archive_refuses_are_made_safe(home: Home, kind: type[Exfat | Ntfs]) -> None:
    """A USB disk as archive and quarantine; sidecar and reason have the real names."""
    if (why := why_no_mounts(*kind.TOOLS)) is not None:
        pytest.skip(why)
    with kind(home.root / "usb") as disk:
        home.archive, home.quarantine = disk.path / "archive", disk.path / "bad"
        folders = {"archive": str(home.archive), "quarantine": str(home.quarantine)}
        content = json.loads(json.dumps(_yaml(home.config.read_text())))
        content["folders"] |= folders
        home.config.write_text(json.dumps(content))  # JSON is YAML
        drop(home.inbox / "AC|DC: live" / "Who made who?.wav", 1)
        bad(home.inbox / "AC|DC: live" / 'a "b".wav')
        drop(home.inbox / "plain.wav", 2)
        assert once(home).returncode == 3
        there = sorted(str(p.relative_to(disk.path)) for p in disk.path.rglob("*") if p.is_file())
        assert there == [
            "archive/AC_DC_ live/Who made who_.wav",
            "archive/plain.wav",
            "bad/AC_DC_ live/a _b_.wav",
            "bad/AC_DC_ live/a _b_.wav.reason.json",
        ]
        (reason,) = home.reasons().values()
    assert (reason["code"], reason["name"]) == ("not_audio", 'AC|DC: live/a "b".wav')
    names = {sidecar["source"]["relpath"] for sidecar in home.sidecars().values()}
    assert names == {"AC|DC: live/Who made who?.wav", "plain.wav"}
    assert home.waiting() == []
    assert listed(home) == []


def test_an_inbox_folder_that_is_read_only_holds_its_own_songs_only(home: Home) -> None:
    """Its song is delivered, stays and is listed; writable again, it is moved by itself."""
    if (why := why_no_mounts()) is not None:
        pytest.skip(why)
    album = home.inbox / "album"
    drop(album / "stays.wav", 1)
    subprocess.run(["mount", "--bind", str(album), str(album)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(album)], check=True)
        with home.scaled_service(0.02, "unfiled_max=0.1") as service:
            wait_for(lambda: [one["tries"] > 5 for one in listed(home)] == [True])
            (stays,) = listed(home)
            drop(home.inbox / "goes.wav", 2)
            moved(service, home, "goes.wav")
            assert sorted(home.sidecars()) == ["album/stays", "goes"]
            assert not (home.archive / "album" / "stays.wav").exists()
            subprocess.run(["mount", "-o", "remount,rw,bind", str(album)], check=True)
            moved(service, home, "album/stays.wav")
    finally:
        subprocess.run(["umount", str(album)], check=True)
    assert stays["code"] == "original_stays"
    assert str(album) in stays["hint"]


def _yaml(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


def test_what_could_not_be_moved_can_be_retried(home: Home, server: ScenarioServer) -> None:
    """By the running service, where it lies: nobody has to stop it, or to mend the folder first."""
    server.scenario(jobs=[{"plan": "failed"}])
    block(home, "quarantine", songs=0)
    drop(home.inbox / "album" / "song.wav")
    with home.service() as service:
        wait_for(lambda: [found["code"] for found in listed(home)] == ["blocked"])
        told = home.command("retry", "song.wav", "-c", str(home.config))
        assert told.returncode == 0, told.stdout + told.stderr
        assert "song.wav" in told.stdout
        wait_for(lambda: list(home.sidecars()) == ["album/song"], what=service.text())
        moved(service, home, "album/song.wav")
    assert (server.paid["total"], listed(home)) == (2, [])


def test_nothing_that_was_not_asked_for_comes_back(home: Home, server: ScenarioServer) -> None:
    """It is tried again and again to move it, and never paid for again by itself."""
    server.scenario(jobs=[{"plan": "failed"}])
    block(home, "quarantine", songs=0)
    drop(home.inbox / "album" / "song.wav")
    with home.scaled_service(0.02, "unfiled_max=0.1"):
        wait_for(lambda: [found["tries"] > 3 for found in listed(home)] == [True])
    assert server.paid["total"] == 1
