"""Originals on real disks: archived, deleted, quarantined, restored; none is ever lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from stemwatch.disks import durable
from stemwatch.disks.renaming import rename_noreplace
from stemwatch.errors import PauseService, Reject, RetryLater
from stemwatch.job import Identity
from stemwatch.outbox import moving, naming, quarantine
from stemwatch.outbox.archiving import file_original
from stemwatch.outbox.moving import Filed
from tests.faults.disks import Exfat, Ntfs, why_no_mounts

CONTENT = b"a song " * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()
SHM = Path("/dev", "shm")
FAULT = {"code": "corrupt", "message": "It can't be decoded.", "first_seen": 0.0, "attempts": 2}


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


@pytest.fixture(params=["same disk", "other disk"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """An archive or quarantine, beside the inbox and on another device."""
    if request.param == "same disk":
        (tmp_path / "root").mkdir()
        yield str(tmp_path / "root")
        return
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{SHM} is no other device than the temporary folder")
    with TemporaryDirectory(dir=SHM) as folder:
        yield folder


def drop(inbox: Path, relpath: str = "song.mp3", content: bytes = CONTENT) -> tuple[str, Identity]:
    path = os.path.join(inbox, relpath)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_bytes(content)
    return path, Identity.of(os.lstat(path))


def archive(path: str, identity: Identity, root: str, relpath: str = "song.mp3") -> Filed:
    return file_original(
        path, identity, how="archive", archive_root=root, relpath=relpath, sha256=SHA
    )


def isolate(
    path: str, identity: Identity, root: str, relpath: str = "song.mp3", **changes: Any
) -> Filed:
    asked: dict[str, Any] = {"sha256": SHA, "reason": FAULT | {"quarantined_at": 1.0}}
    return quarantine.quarantine(path, identity, root=root, relpath=relpath, **asked | changes)


def files(root: str | Path) -> set[str]:
    """Every file below, hidden ones included, relative."""
    return {
        os.path.relpath(os.path.join(folder, name), root)
        for folder, _, names in os.walk(root)
        for name in names
    }


@pytest.mark.parametrize(
    "relpath",
    ["song.mp3", "Jazz/70s/song.mp3", os.fsdecode(b"s\xff/\xfe\n.mp3"), "é" * 125 + "a.mp3"],
)
def test_an_original_keeps_its_name_and_bytes(inbox: Path, root: str, relpath: str) -> None:
    """Subfolders mirrored, bytes that are no UTF-8 and 255-byte names kept."""
    path, identity = drop(inbox, relpath)
    filed = archive(path, identity, root, relpath)
    assert filed == Filed("archived", os.path.join(root, relpath))
    assert Path(root, relpath).read_bytes() == CONTENT
    assert os.stat(os.path.join(root, relpath)).st_mtime_ns == identity.mtime_ns
    assert files(root) == {relpath}
    assert files(inbox) == set()
    assert archive(path, identity, root, relpath) == filed, "asked again after a kill"


def test_nothing_in_the_archive_is_overwritten(inbox: Path, root: str) -> None:
    """A taken name gets the hash before its extension, 255 bytes included."""
    for relpath in ("song.mp3", "é" * 125 + "a.mp3"):
        Path(root, relpath).write_bytes(b"another")
        path, identity = drop(inbox, relpath)
        filed = archive(path, identity, root, relpath)
        assert filed.outcome == "archived"
        assert filed.path is not None
        assert filed.path.endswith(f" [{SHA[:8]}].mp3")
        assert Path(root, relpath).read_bytes() == b"another"
        assert Path(filed.path).read_bytes() == CONTENT


def test_the_same_song_twice_is_archived_twice(inbox: Path, root: str) -> None:
    """Dropped at another time it is an original of its own."""
    for expected in ("song.mp3", f"song [{SHA[:8]}].mp3", f"song [{SHA[:8]}-2].mp3"):
        path, _ = drop(inbox)
        os.utime(path, ns=(0, len(expected) * 10**10))
        filed = archive(path, Identity.of(os.lstat(path)), root)
        assert filed.path == os.path.join(root, expected)


@pytest.mark.parametrize("how", ["archive", "delete"])
@pytest.mark.parametrize("change", ["rewritten", "replaced", "symlink", "gone"])
def test_a_file_that_is_no_longer_the_jobs_is_not_touched(
    inbox: Path, root: str, how: str, change: str
) -> None:
    """Another song under the same name is a new job's, whatever it was done with ours."""
    path, identity = drop(inbox)
    os.unlink(path)
    if change == "symlink":
        drop(inbox, "other.mp3")
        os.symlink("other.mp3", path)
    elif change != "gone":
        drop(inbox, content=b"new" if change == "rewritten" else CONTENT[::-1])
    before = files(inbox)
    filed = file_original(
        path, identity, how=how, archive_root=root, relpath="song.mp3", sha256=SHA
    )
    assert filed.outcome == ("gone" if change == "gone" else "changed")
    assert isolate(path, identity, root).outcome == filed.outcome
    assert files(inbox) == before
    assert files(root) == set()


def test_a_file_that_took_the_path_after_the_look_is_put_back(inbox: Path, root: str) -> None:
    """The last instant: the file is swapped while the name in the archive is being chosen."""
    path, identity = drop(inbox)

    def swap(_name: str) -> bool:
        os.rename(path, path + ".taken")
        drop(inbox, content=b"somebody's new song")
        return True

    with pytest.raises(moving.NotMoved) as caught:
        moving.move(path, identity, root, iter(["song.mp3"]), sha256=SHA, claim=swap)
    assert caught.value.filed.outcome == "changed"
    assert Path(path).read_bytes() == b"somebody's new song"
    assert Path(path + ".taken").read_bytes() == CONTENT
    assert files(root) == set()


def test_a_reboot_that_renumbers_the_disk_changes_nothing(inbox: Path, root: str) -> None:
    """Then the content says that it is the same file."""
    path, identity = drop(inbox)
    old = identity._replace(device=identity.device + 7)
    assert archive(path, old, root).outcome == "archived"
    path, identity = drop(inbox, content=CONTENT[::-1])
    old = identity._replace(device=identity.device + 7)
    filed = file_original(path, old, how="delete", archive_root=None, relpath="s", sha256=SHA)
    assert filed.outcome == "changed"
    assert os.path.exists(path)


def numbered_anew(path: str, content: bytes) -> None:
    """Put `content` at `path`, with its present time, under an inode number it never had."""
    was = os.lstat(path)
    os.link(path, f"{os.path.dirname(path)} {was.st_ino}")  # or the number is given again
    copy = f"{path}.copy"
    Path(copy).write_bytes(content)
    os.utime(copy, ns=(was.st_atime_ns, was.st_mtime_ns))
    os.replace(copy, path)


@pytest.mark.parametrize("how", ["archive", "delete", "quarantine"])
def test_a_remount_that_renumbers_files_strands_none(inbox: Path, root: str, how: str) -> None:
    """With sshfs each mount numbers them anew: the content says which file it is."""

    def filed(path: str, identity: Identity, sha256: str | None = SHA) -> Filed:
        if how == "quarantine":
            return isolate(path, identity, root, sha256=sha256)
        return file_original(
            path, identity, how=how, archive_root=root, relpath="song.mp3", sha256=SHA
        )

    path, identity = drop(inbox)
    numbered_anew(path, CONTENT[::-1])  # somebody's other song: as long, and of the same time
    assert Identity.of(os.lstat(path))[2:] == identity[2:]
    assert Identity.of(os.lstat(path)).inode != identity.inode
    assert filed(path, identity).outcome == "changed"
    assert Path(path).read_bytes() == CONTENT[::-1]
    numbered_anew(path, CONTENT)
    if how == "quarantine":
        assert filed(path, identity, None).outcome == "changed", "its content was never known"
    assert files(inbox) == {"song.mp3"}
    there = filed(path, identity)
    assert there.outcome == {"archive": "archived", "delete": "deleted"}.get(how, "quarantined")
    assert files(inbox) == set()
    if there.path is not None:
        assert Path(there.path).read_bytes() == CONTENT


def test_a_reboot_does_not_strand_a_file_that_was_never_hashed(inbox: Path, root: str) -> None:
    """One that was refused as too large or incomplete goes to quarantine after it all the same."""
    path, identity = drop(inbox)
    old = identity._replace(device=identity.device + 7)
    filed = quarantine.quarantine(
        path, old, root=root, relpath="song.mp3", sha256=None, reason=FAULT
    )
    assert filed.path == os.path.join(root, "song.mp3")
    assert not os.path.exists(path)


@pytest.mark.parametrize("root", ["other disk"], indirect=True)
def test_a_kill_between_copy_and_unlink_is_finished(inbox: Path, root: str) -> None:
    """The copy is whole and the original still there: no second copy, and the original goes."""
    path, identity = drop(inbox)
    part = moving._copy(path, identity, root, SHA)
    assert files(root) == {os.path.basename(part)}
    again = moving._copy(path, identity, root, SHA)  # killed while copying, started again
    assert again == part
    rename_noreplace(part, os.path.join(root, "song.mp3"))
    assert archive(path, identity, root) == Filed("archived", os.path.join(root, "song.mp3"))
    assert (files(inbox), files(root)) == (set(), {"song.mp3"})


@pytest.mark.parametrize("root", ["other disk"], indirect=True)
def test_a_copy_that_fails_at_its_last_rename_leaves_nothing(inbox: Path, root: str) -> None:
    """All of it was written, and its name is refused: neither a part nor half a song stays."""
    path, identity = drop(inbox)
    with pytest.raises(OSError) as caught:
        moving.move(path, identity, root, iter(["x" * 300]), sha256=SHA)
    assert caught.value.errno == errno.ENAMETOOLONG
    assert files(root) == set()
    assert Path(path).read_bytes() == CONTENT


@pytest.mark.parametrize("move", [archive, isolate])
@pytest.mark.parametrize("at", ["Jazz", "Jazz/70s"])
def test_a_file_where_a_folder_is_needed_is_named(
    inbox: Path, root: str, move: Callable[..., Filed], at: str
) -> None:
    """It stays where it is, and so does the song; taking it away is all there is to do."""
    path, identity = drop(inbox, "Jazz/70s/song.mp3")
    blocking = Path(root, at)
    blocking.parent.mkdir(exist_ok=True)
    blocking.write_text("mine")
    with pytest.raises(RetryLater) as caught:
        move(path, identity, root, "Jazz/70s/song.mp3")
    assert (caught.value.code, caught.value.counts) == ("blocked", False)
    assert caught.value.message == f"{blocking}: a file is where a folder is needed."
    assert (files(root), files(inbox)) == ({at}, {"Jazz/70s/song.mp3"})
    blocking.unlink()
    assert move(path, identity, root, "Jazz/70s/song.mp3").path == f"{root}/Jazz/70s/song.mp3"


ODD = {  # below the inbox -> below the archive, where the names are refused
    'a: "b?".mp3': "a_ _b__.mp3",
    "AC|DC: live/Who? <Me>.mp3": "AC_DC_ live/Who_ _Me_.mp3",
    os.fsdecode(b"no utf-8 \xff.mp3"): "no utf-8 _.mp3",
    f"{'n' * 250}:.mp3": None,  # cut, with a hash
    "plain [live].mp3": "plain [live].mp3",
}


@pytest.mark.parametrize("kind", [Exfat, Ntfs])
def test_a_name_that_the_target_refuses_is_made_safe(
    inbox: Path, tmp_path: Path, kind: type[Exfat | Ntfs]
) -> None:
    """On exFAT and NTFS: moved once, found again after a kill, nothing left, the real name told."""
    if (why := why_no_mounts(*kind.TOOLS)) is not None:
        pytest.skip(why)
    with kind(tmp_path / "disk") as disk:
        for move, below in ((archive, "archive"), (isolate, "quarantine")):
            root = disk.path / below
            root.mkdir()
            for relpath, expected in ODD.items():
                path, identity = drop(inbox, relpath)
                filed = move(path, identity, str(root), relpath)
                assert filed.path is not None
                assert expected in (None, os.path.relpath(filed.path, root))
                assert Path(filed.path).read_bytes() == CONTENT
                assert move(path, identity, str(root), relpath) == filed, "again after a kill"
                if move is isolate:
                    note = Path(f"{filed.path}.reason.json")
                    told = json.loads(note.read_text()).get("name", relpath)
                    assert told == naming.readable(relpath)
            assert len(files(root)) == len(ODD) * (1 if move is archive else 2)
            assert files(inbox) == set()


def test_a_kill_between_link_and_unlink_is_finished(inbox: Path, tmp_path: Path) -> None:
    """Where the kernel knows no no-replace rename, a hard link stands for it."""
    path, identity = drop(inbox)
    (tmp_path / "root").mkdir()
    os.link(path, tmp_path / "root" / "song.mp3")
    filed = archive(path, identity, str(tmp_path / "root"))
    assert filed == Filed("archived", str(tmp_path / "root" / "song.mp3"))
    assert (files(inbox), files(tmp_path / "root")) == (set(), {"song.mp3"})


def test_a_new_song_under_the_name_of_an_archived_one_stays(inbox: Path, root: str) -> None:
    """Killed after the move, and another song dropped before the restart."""
    path, identity = drop(inbox)
    first = archive(path, identity, root)
    drop(inbox, content=b"another song")
    assert archive(path, identity, root) == first
    assert Path(path).read_bytes() == b"another song"


def test_deleting_and_keeping(inbox: Path) -> None:
    """As the user configured; a delete that was killed half-way is finished."""
    path, identity = drop(inbox)

    def ask(how: str) -> Filed:
        return file_original(
            path, identity, how=how, archive_root=None, relpath="song.mp3", sha256=SHA
        )

    assert ask("keep") == Filed("kept", path)
    hidden = inbox / f".stemwatch-{identity.inode:x}-{identity.mtime_ns:x}.delete"
    os.rename(path, hidden)
    Path(path).write_bytes(b"a new song")
    assert ask("delete") == Filed("deleted")
    assert files(inbox) == {"song.mp3"}
    assert Path(path).read_bytes() == b"a new song"
    assert ask("delete").outcome == "changed"


@pytest.mark.parametrize("how", ["archive", "delete"])
def test_an_original_on_a_read_only_share_is_kept(inbox: Path, root: str, how: str) -> None:
    """The journal means done, not the move: said once, never a loop, and no copy is made."""
    path, _ = drop(inbox)
    bind = ["mount", "--bind", str(inbox), str(inbox)]
    if os.geteuid() != 0 or subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("a read-only mount needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(inbox)], check=True)
        identity = Identity.of(os.lstat(path))
        filed = file_original(
            path, identity, how=how, archive_root=root, relpath="song.mp3", sha256=SHA
        )
        assert (filed.outcome, filed.path) == ("kept", path)
        assert filed.message
        assert isolate(path, identity, root).outcome == "kept"
        assert files(root) == set()
    finally:
        subprocess.run(["umount", str(inbox)], check=True)
    assert files(inbox) == {"song.mp3"}


def test_a_missing_archive_pauses(inbox: Path, tmp_path: Path) -> None:
    """An unmounted archive is not made anew underneath, and the original stays."""
    path, identity = drop(inbox)
    with pytest.raises(PauseService) as caught:
        archive(path, identity, str(tmp_path / "absent"))
    assert caught.value.code == "disk"
    assert files(inbox) == {"song.mp3"}
    assert not (tmp_path / "absent").exists()


def test_a_quarantined_file_has_its_reason_beside_it(inbox: Path, root: str) -> None:
    """All keys of docs/sidecar.md, times in RFC 3339, and asking again changes nothing."""
    path, identity = drop(inbox, "sub/song.mp3")
    filed = isolate(path, identity, root, "sub/song.mp3")
    assert filed == Filed("quarantined", os.path.join(root, "sub/song.mp3"))
    assert files(root) == {"sub/song.mp3", "sub/song.mp3.reason.json"}
    assert json.loads(Path(root, "sub/song.mp3.reason.json").read_text()) == {
        "code": "corrupt",
        "message": "It can't be decoded.",
        "hint": None,
        "http_status": None,
        "attempts": 2,
        "job_id": None,
        "request_id": None,
        "first_seen": "1970-01-01T00:00:00Z",
        "quarantined_at": "1970-01-01T00:00:01Z",
    }
    assert isolate(path, identity, root, "sub/song.mp3") == filed
    assert len(files(root)) == 2


@pytest.mark.parametrize("sha256", [SHA, None])
@pytest.mark.parametrize(
    "name", ["song.mp3", "é" * 125 + "a.mp3", os.fsdecode(b"\xff" * 251 + b".mp3")]
)
def test_quarantined_files_of_one_name_keep_apart(
    inbox: Path, root: str, name: str, sha256: str | None
) -> None:
    """Each has a reason of its own, 255-byte names and unreadable files included."""
    kept = []
    for n in range(3):
        path, _ = drop(inbox, name)
        os.utime(path, ns=(0, n * 10**10))
        message = f"fault {n} \udcff"
        filed = isolate(
            path,
            Identity.of(os.lstat(path)),
            root,
            name,
            sha256=sha256,
            reason={"code": "corrupt", "message": message},
        )
        assert filed.path is not None
        kept.append(filed.path)
    assert len(files(root)) == 6
    for n, file in enumerate(kept):
        note = Path(root, quarantine.reason_file(os.path.basename(file)))
        assert json.loads(note.read_bytes())["message"] == f"fault {n} \ufffd"


def test_what_only_has_a_reason_files_name_is_left_alone(inbox: Path, tmp_path: Path) -> None:
    """Whoever opened this FIFO would wait for ever, and with it the tidying of this inbox."""
    root = tmp_path / "quarantine"
    root.mkdir()
    os.mkfifo(root / "song.mp3.reason.json")
    assert list(quarantine.stale_reasons(str(root))) == []
    quarantine.remove_reason(str(root / "song.mp3"))
    quarantine.remove_stale_reason(str(root / "song.mp3"))
    path, identity = drop(inbox)
    filed = isolate(path, identity, str(root), "song.mp3")
    assert filed.path is not None
    assert files(str(root)) >= {os.path.basename(filed.path), "song.mp3.reason.json"}


def test_a_kill_between_reason_and_move_leaves_one_reason(inbox: Path, root: str) -> None:
    """An orphan is replaced; a person's own file of that name is not."""
    path, identity = drop(inbox)
    Path(root, "song.mp3.reason.json").write_bytes(quarantine.reason_bytes({"code": "old"}))
    assert isolate(path, identity, root).path == os.path.join(root, "song.mp3")
    assert json.loads(Path(root, "song.mp3.reason.json").read_text())["code"] == "corrupt"
    path, identity = drop(inbox, "mine.mp3")
    Path(root, "mine.mp3.reason.json").write_text("my notes")
    filed = isolate(path, identity, root, "mine.mp3")
    assert filed.path == os.path.join(root, f"mine [{SHA[:8]}].mp3")
    assert Path(root, "mine.mp3.reason.json").read_text() == "my notes"


def test_a_kill_while_the_reason_is_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """The half of a note has the name of the note: the next try takes it away."""
    note = tmp_path / "song.mp3.reason.json"
    script = (
        "import os, sys; from stemwatch.disks import durable;"
        "os.fsync = lambda _: os.kill(os.getpid(), 9);"
        "durable.write_file(sys.argv[1], b'half')"
    )
    assert subprocess.run([sys.executable, "-c", script, str(note)], check=False).returncode == -9
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"half"]
    assert not note.exists()
    durable.write_file(str(note), b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [note.name]


def test_what_could_not_be_moved_leaves_no_reason(inbox: Path, root: str) -> None:
    """No note about a file that isn't there."""
    path, identity = drop(inbox)
    os.unlink(path)
    assert isolate(path, identity, root).outcome == "gone"
    assert files(root) == set()


@pytest.mark.parametrize("sha256", [SHA, None])
def test_a_retry_puts_it_back(inbox: Path, root: str, sha256: str | None) -> None:
    """Under its first name where that is free, else with the hash; the reason goes."""
    path, identity = drop(inbox, "sub/song.mp3")
    filed = isolate(path, identity, root, "sub/song.mp3", sha256=sha256)
    assert filed.path is not None
    drop(inbox, "sub/song.mp3", b"a newer one")
    back = quarantine.restore(filed.path, str(inbox), "sub/song.mp3", sha256)
    assert back != path
    assert Path(back).read_bytes() == CONTENT
    assert Path(path).read_bytes() == b"a newer one"
    assert files(root) == set()
    assert len(files(inbox)) == 2


def test_a_retry_that_was_killed_is_finished(inbox: Path, root: str) -> None:
    """The file is back already, its reason is not gone yet; and what is nowhere is said so."""
    path, identity = drop(inbox)
    filed = isolate(path, identity, root)
    assert filed.path is not None
    names = naming.file_candidates("song.mp3", SHA)
    at = Identity.of(os.lstat(filed.path))
    moving.move(filed.path, at, str(inbox), names, sha256=SHA)
    assert files(root) == {"song.mp3.reason.json"}
    assert quarantine.restore(filed.path, str(inbox), "song.mp3", SHA) == path
    assert files(root) == set()
    os.unlink(path)
    with pytest.raises(Reject) as caught:
        quarantine.restore(filed.path, str(inbox), "song.mp3", SHA)
    assert caught.value.code == "not_in_quarantine"
