"""Scanning real folders."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from stemwatch.disks.opening import NotYet, open_regular, sample
from stemwatch.inbox import scan as scanning
from stemwatch.inbox.names import Filter
from stemwatch.inbox.scan import Found, Offline, find, root_device, scan
from stemwatch.inbox.writing.stale import DAY
from stemwatch.job import Identity

SONGS = Filter(["mp3", "wav"])


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def relpaths(root: Path, **options: object) -> list[str]:
    return [found.relpath for found in scan(str(root), SONGS, **options)]  # type: ignore[arg-type]


def test_finds_songs_everywhere_in_order(tmp_path: Path) -> None:
    """Files before subfolders, by name; empty files too; identities are those of lstat."""
    for name in ("b.mp3", "a.WAV", "z/2.mp3", "z/1.mp3", "c d/e/f.mp3", "x.mp3/in.mp3", "n.txt"):
        put(tmp_path / name)
    put(tmp_path / "empty.mp3", b"")
    expected = "a.WAV b.mp3 empty.mp3|c d/e/f.mp3|x.mp3/in.mp3|z/1.mp3 z/2.mp3"
    assert " ".join(relpaths(tmp_path)) == expected.replace("|", " ")
    for found in scan(str(tmp_path), SONGS):
        assert found.path == str(tmp_path / found.relpath)
        assert found.identity == Identity.of(os.lstat(found.path))


def test_only_regular_files_are_found(tmp_path: Path) -> None:
    """Symlinks to files and folders, FIFOs and sockets are ignored."""
    outside = put(tmp_path / "outside/real.mp3")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "link.mp3").symlink_to(outside)
    (inbox / "linked").symlink_to(outside.parent)
    os.mkfifo(inbox / "fifo.mp3")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(inbox / "s.mp3"))
        assert relpaths(inbox) == []
        for name in ("link.mp3", "linked/real.mp3", "fifo.mp3", "s.mp3"):
            assert find(str(inbox), SONGS, str(inbox / name)) is None


def test_prunes_before_descending(tmp_path: Path) -> None:
    """System folders and those the user ignores are not even opened."""
    for folder in ("@eaDir", ".stversions", "sub/#recycle", "no"):
        put(tmp_path / folder / "a.mp3")
    put(tmp_path / "sub/a.mp3")
    songs = Filter(["mp3"], ["no"])
    assert [f.relpath for f in scan(str(tmp_path), songs)] == ["sub/a.mp3"]
    assert find(str(tmp_path), songs, str(tmp_path / "sub/#recycle/a.mp3")) is None
    assert list(scan(str(tmp_path), songs, below=str(tmp_path / "@eaDir"))) == []


@pytest.mark.parametrize("temp", ["x.wav.part", ".x.wav.AbC123", "X.WAV.crdownload"])
def test_song_beside_its_temp_file_is_held_back(tmp_path: Path, temp: str) -> None:
    """It is left out while the temp file is there, and found when it is gone."""
    put(tmp_path / "x.wav")
    partial = put(tmp_path / temp)
    put(tmp_path / "y.wav")
    assert relpaths(tmp_path) == ["y.wav"]
    partial.unlink()
    assert relpaths(tmp_path) == ["x.wav", "y.wav"]


def test_single_look_holds_back_and_agrees_with_the_scan(tmp_path: Path) -> None:
    """`find` gives what a scan would give for that file."""
    song = put(tmp_path / "d/x.wav")
    (expected,) = scan(str(tmp_path), SONGS)
    assert find(str(tmp_path), SONGS, str(song)) == expected
    put(tmp_path / "d/x.wav.part")
    assert find(str(tmp_path), SONGS, str(song)) is None
    assert find(str(tmp_path), SONGS, str(tmp_path.parent / "x.wav")) is None
    assert find(str(tmp_path), SONGS, str(tmp_path / "none.wav")) is None


def test_below_gives_paths_from_the_root(tmp_path: Path) -> None:
    """A hinted folder is scanned alone, with paths below the inbox."""
    for name in ("a/b/1.mp3", "a/2.mp3", "3.mp3"):
        put(tmp_path / name)
    assert relpaths(tmp_path, below=str(tmp_path / "a")) == ["a/2.mp3", "a/b/1.mp3"]
    assert relpaths(tmp_path, below=str(tmp_path / "gone")) == []
    assert relpaths(tmp_path, below=str(tmp_path)) == relpaths(tmp_path)


def test_odd_names(tmp_path: Path) -> None:
    """Newlines, emoji, bytes that are no UTF-8 and 255-byte names are found."""
    names = [b"a\nb.mp3", "🎸.mp3".encode(), b"\xff\xfe.mp3", b"n" * 251 + b".mp3"]
    for name in names:
        (Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))).write_bytes(b"x")
    assert sorted(os.fsencode(name) for name in relpaths(tmp_path)) == sorted(names)
    for found in scan(str(tmp_path), SONGS):
        assert find(str(tmp_path), SONGS, found.path) == found
        assert sample(found.path) == found.identity


def test_large_folder_is_read_in_slices(tmp_path: Path) -> None:
    """More files than a slice: all found once, and a temp file in any slice still holds back."""
    count = scanning.SLICE + 500
    for n in range(count):
        os.close(os.open(tmp_path / f"{n:05}.mp3", os.O_CREAT | os.O_WRONLY))
    put(tmp_path / "00007.mp3.part")
    put(tmp_path / f"{count - 1:05}.mp3.part")
    names = relpaths(tmp_path)
    assert len(names) == len(set(names)) == count - 2
    assert "00007.mp3" not in names


def test_offline_root_raises(tmp_path: Path) -> None:
    """A root that is missing, a file, or on another device says so before anything is yielded."""
    put(tmp_path / "inbox/a.mp3")
    for root in (tmp_path / "none", tmp_path / "inbox/a.mp3"):
        with pytest.raises(Offline):
            next(scan(str(root), SONGS))
        with pytest.raises(Offline):
            find(str(root), SONGS, str(root / "a.mp3"))
    device = root_device(str(tmp_path / "inbox"))
    assert root_device(str(tmp_path / "inbox"), device) == device
    with pytest.raises(Offline):
        root_device(str(tmp_path / "inbox"), device + 1)


def test_root_that_vanishes_midway_raises(tmp_path: Path) -> None:
    """A scan of an inbox that went away is not a scan."""
    inbox = tmp_path / "inbox"
    put(inbox / "a.mp3")
    put(inbox / "b/c.mp3")
    found: list[Found] = []
    with pytest.raises(Offline):
        for each in scan(str(inbox), SONGS):
            found.append(each)
            inbox.rename(tmp_path / "away")
    assert [each.relpath for each in found] == ["a.mp3"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user to be refused")
def test_unreadable_folders_are_reported_once(tmp_path: Path) -> None:
    """A folder that can't be listed and one that can't be entered get one report each."""
    for name in ("ok/a.mp3", "locked/b.mp3", "listed/c.mp3", "listed/d.mp3"):
        put(tmp_path / name)
    (tmp_path / "secret.mp3").touch(mode=0o600)
    (tmp_path / "locked").chmod(0o000)
    (tmp_path / "listed").chmod(0o744)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_mode & 0o5 != 0o5 and str(parent) != "/":
            parent.chmod(0o755)
    code = """
        import os, sys
        from stemwatch.inbox.names import Filter
        from stemwatch.disks.opening import NotYet, sample
        from stemwatch.inbox.scan import scan
        os.setgroups([]), os.setgid(65534), os.setuid(65534)
        root = sys.argv[1]
        found = scan(root, Filter(["mp3"]), on_error=lambda p, e: print("error", p, e.errno))
        for each in found:
            print(each.relpath)
        try:
            sample(root + "/secret.mp3")
        except NotYet as error:
            print("not yet", error.errno)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(run.stdout.splitlines()) == sorted(
        [
            "secret.mp3",
            "ok/a.mp3",
            f"error {tmp_path}/locked 13",
            f"error {tmp_path}/listed 13",
            "not yet 13",
        ]
    )


def test_sample_tells_gone_from_there(tmp_path: Path) -> None:
    """A file has an identity; what is missing, a folder, a symlink or a FIFO counts as gone."""
    song = put(tmp_path / "a.mp3")
    (tmp_path / "link.mp3").symlink_to(song)
    os.mkfifo(tmp_path / "fifo.mp3")
    assert sample(str(song)) == Identity.of(song.stat())
    for name in ("none.mp3", "link.mp3", "fifo.mp3", ".", "a.mp3/x", "n" * 300):
        assert sample(str(tmp_path / name)) is None
        with pytest.raises(FileNotFoundError):
            open_regular(str(tmp_path / name))


def test_not_yet_is_an_os_error_with_a_cause() -> None:
    """Who catches OSError around `open_regular` catches this too, with errno and path."""
    error = NotYet.of(PermissionError(13, "Permission denied"), "/in/a.mp3")
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (13, "/in/a.mp3")


def test_a_temp_file_holds_its_song_for_a_day(tmp_path: Path) -> None:
    """Downloads that were given up leave one behind; a folder does so as well."""
    for song, temp in (("a.wav", "a.wav.part"), ("b.wav", "b.wav.download/b.wav")):
        (tmp_path / song).write_bytes(b"song")
        (tmp_path / temp).parent.mkdir(exist_ok=True)
        (tmp_path / temp).write_bytes(b"so")
    now = time.time()
    assert list(scan(str(tmp_path), SONGS, clock=lambda: now + DAY / 2)) == []
    found = [one.relpath for one in scan(str(tmp_path), SONGS, clock=lambda: now + DAY + 60)]
    assert found == ["a.wav", "b.wav"]
    for song in found:
        path = os.path.join(tmp_path, song)
        assert find(str(tmp_path), SONGS, path, now=now) is None
        assert find(str(tmp_path), SONGS, path, now=now + DAY + 60) is not None
