"""Which folders a rescan passes over: real folders, a clock of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stemwatch.inbox.names import Filter
from stemwatch.inbox.scan import scan
from stemwatch.inbox.unchanged_folders import Folders
from tests.support.counting import calls

SONGS = Filter(["mp3"])
FOLDERS = 5  # `inbox` has four subfolders


class Rescans:
    """Rescans of an inbox with four folders of five songs, 30 s apart."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 0.0
        self.folders = Folders(lambda: self.now)
        for number in range(FOLDERS - 1):
            (root / f"album {number}").mkdir(parents=True)
            for song in range(5):
                (root / f"album {number}" / f"{song}.mp3").write_bytes(b"x")

    def again(self, *, after: float = 30.0, whole: bool = False) -> set[str]:
        """The songs that one more rescan comes across."""
        self.now += after
        self.folders.begin("poll", whole=whole)
        return {found.relpath for found in scan(str(self.root), SONGS, folders=self.folders)}

    def settled(self) -> None:
        """Look until every folder is passed over."""
        while self.again():
            pass


@pytest.fixture
def rescans(tmp_path: Path) -> Rescans:
    return Rescans(tmp_path / "inbox")


def test_a_rescan_costs_a_stat_for_each_folder(rescans: Rescans) -> None:
    """No folder is read, and no song is looked at, where nothing came or went."""
    assert len(rescans.again()) == 20
    rescans.settled()
    with calls() as count:
        assert rescans.again() == set()
    assert count["scandir"] == 0
    assert count["stat"] == FOLDERS + 2  # the root before and after all: is it still mounted?


def test_a_scan_of_everything_costs_a_stat_for_each_song(rescans: Rescans) -> None:
    """One reading of each folder, one stat of each entry, and nothing else."""
    with calls() as count:
        found = list(scan(str(rescans.root), SONGS))
    assert len(found) == 20
    assert count["scandir"] == FOLDERS
    assert count["stat"] == 20 + 2
    assert count["lstat"] == count["open"] == 0


def test_what_comes_goes_or_moves_is_seen_at_once(rescans: Rescans) -> None:
    """A new song, a renamed one, a new folder in a quiet one, a folder moved in, one chmodded."""
    root = rescans.root
    rescans.settled()
    (root / "album 1" / "new.mp3").write_bytes(b"x")
    assert "album 1/new.mp3" in rescans.again()
    rescans.settled()
    (root / "album 2" / "0.mp3").rename(root / "album 2" / "renamed.mp3")
    assert "album 2/renamed.mp3" in rescans.again()
    rescans.settled()
    (root / "album 3" / "disc").mkdir()
    (root / "album 3" / "disc" / "deep.mp3").write_bytes(b"x")
    assert "album 3/disc/deep.mp3" in rescans.again()
    rescans.settled()
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "old.mp3").write_bytes(b"x")
    os.utime(outside, (1.0, 1.0))
    (root / "album 0").rename(root.parent / "away")
    outside.rename(root / "album 0")  # under a name that was known
    assert "album 0/old.mp3" in rescans.again()
    rescans.settled()
    (root / "album 1").chmod(0o700)
    assert "album 1/new.mp3" in rescans.again()


def test_a_song_rewritten_in_place_is_seen_by_the_next_scan_of_everything(
    rescans: Rescans,
) -> None:
    """It leaves its folder's times alone: every fourth rescan looks for such, and one on demand."""
    song = rescans.root / "album 1" / "0.mp3"
    rescans.settled()
    song.write_bytes(b"another")
    seen = [len(rescans.again()) for _ in range(8)]
    assert seen.count(20) == 2
    assert seen.count(0) == 6
    assert len(rescans.again(whole=True)) == 20


def test_fresh_times_are_not_trusted(rescans: Rescans) -> None:
    """A change in the same tick of the file system's clock would go unseen."""
    assert len(rescans.again(after=0)) == 20
    assert len(rescans.again(after=1.0)) == 20
    assert len(rescans.again(after=2.5)) == 20  # trusted from here on
    assert rescans.again(after=0.2) == set()


def test_a_song_in_doubt_is_found_again(rescans: Rescans) -> None:
    """It could not be taken in, and nothing about its folder will change."""
    rescans.settled()
    rescans.folders.doubt(str(rescans.root / "album 1" / "0.mp3"))
    assert {path.split("/")[0] for path in rescans.again()} == {"album 1"}
    rescans.folders = rescans.folders.anew()
    assert len(rescans.again()) == 20


def test_what_is_not_read_to_its_end_is_not_passed_over(rescans: Rescans) -> None:
    """The songs that follow were never handed over."""
    rescans.again()
    rescans.now += 30
    rescans.folders.begin("poll", whole=True)
    scanning = scan(str(rescans.root), SONGS, folders=rescans.folders)
    assert next(scanning).relpath == "album 0/0.mp3"
    scanning.close()
    rescans.now += 30
    rescans.folders.begin("poll")
    assert len(list(scan(str(rescans.root), SONGS, folders=rescans.folders))) == 20


def test_a_file_system_that_tells_nothing_is_found_out(rescans: Rescans) -> None:
    """A song that came without a change of its folder: nothing is passed over from then on."""
    rescans.settled()
    path = str(rescans.root / "album 1" / "0.mp3")
    rescans.again(whole=True)
    rescans.folders.came(path)
    assert [len(rescans.again()) for _ in range(6)] == [20] * 6


def test_folders_that_went_are_forgotten(rescans: Rescans) -> None:
    """A year of albums that came and went must not pile up."""
    rescans.settled()
    for number in range(FOLDERS - 1):
        (rescans.root / f"album {number}").rename(rescans.root.parent / f"gone {number}")
    for _ in range(10):
        rescans.again(whole=True)
    assert len(rescans.folders._seen) == 1
