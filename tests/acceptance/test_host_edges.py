"""What the host brings along: Macs' names of folders, and the umask."""

from __future__ import annotations

import shlex
import sys
import unicodedata
from pathlib import Path

import pytest

from tests.acceptance.harness import KEY, SEPARATE, Home, Service
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

pytestmark = SEPARATE


def test_a_macs_folder_means_its_preset(tmp_path: Path, server: ScenarioServer) -> None:
    """Separated with what its preset says, and no second folder beside it."""
    home = Home(tmp_path, server.url, presets={"fête": {"format": "flac"}, "live": {}})
    theirs = unicodedata.normalize("NFD", "Fête")
    drop(home.inbox / theirs / "a.wav", 1)
    with home.service():
        wait_for(lambda: len(home.sidecars()) == 1)
        wait_for((home.inbox / "live").is_dir)
        found = {path.name for path in home.inbox.iterdir()}
    folders = {name for name in found if not name.startswith(".")}  # a look may write a hidden file
    (sidecar,) = home.sidecars().values()
    assert sidecar["separation"]["format"] == "flac"
    assert folders <= {theirs, "live"}


@pytest.mark.parametrize("mask", [0o002, 0o027])
def test_all_that_is_written_heeds_the_umask(
    tmp_path: Path, server: ScenarioServer, mask: int
) -> None:
    """A group that shares an outbox tags the stems; others see nothing where they should not."""
    home = Home(tmp_path, server.url)
    drop(home.inbox / "Album" / "a.wav", 1)
    (home.inbox / "bad.mp3").write_bytes(b"no song " * 9000)
    # A process of its own: those of `home.service` are forked from one that has a umask already.
    command = shlex.join([sys.executable, "-m", "stemwatch.cli", "run", "-c", str(home.config)])
    with Service(home, ["/bin/sh", "-c", f"umask {mask:o}; exec {command}"], KEY):
        wait_for((home.archive / "Album" / "a.wav").exists)
        wait_for(lambda: home.reasons())
    written = [p for p in home.outbox.rglob("*") if ".stemwatch" not in p.parts]
    written += home.quarantine.rglob("*.reason.json")
    written += (home.archive / "Album", home.archive, home.quarantine, home.outbox)
    assert len(written) >= 9
    for path in written:
        full = 0o777 if path.is_dir() else 0o666
        assert path.stat().st_mode & 0o777 == full & ~mask, path


def test_titles_with_dots_in_front_are_delivered(tmp_path: Path, server: ScenarioServer) -> None:
    """As files and as folders; what hides something is left alone."""
    home = Home(tmp_path, server.url)
    songs = ["...And So It Goes/..Hits.wav", ".38 Band - Song.wav"]
    for number, name in enumerate([*songs, ".hidden.wav", ".trash/a.wav"]):
        drop(home.inbox / name, number)
    with home.service():
        wait_for(lambda: all((home.archive / name).exists() for name in songs))
    assert sorted(s["source"]["relpath"] for s in home.sidecars().values()) == sorted(songs)
    assert (home.inbox / ".hidden.wav").exists()
    assert (home.inbox / ".trash" / "a.wav").exists()
    assert server.paid["total"] == 2
