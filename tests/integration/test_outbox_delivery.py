"""Deliveries on real disks: whole or not at all, never over another, found again after a kill."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from stemwatch.disks import durable, renaming
from stemwatch.errors import PauseService, Reject, RetryLater
from stemwatch.job import Identity, Job, JobState, Options
from stemwatch.outbox import delivery, earlier, naming, sidecar, staging
from stemwatch.outbox.sidecar import ResultFile
from stemwatch.outbox.staging import Staging

SHA = "1a2b3c4d" + "0" * 56
SHM = Path("/dev", "shm")
NOW = 1_800_000_000.5


@pytest.fixture
def outbox(tmp_path: Path) -> str:
    path = tmp_path / "outbox"
    path.mkdir()
    return str(path)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[str]:
    """A folder on another device than tmp_path."""
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{SHM} is no other device than the temporary folder")
    with TemporaryDirectory(dir=SHM) as folder:
        yield folder


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[str]:
    """A file system of 256 kB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield str(folder)
    subprocess.run(["umount", str(folder)], check=True)


def a_job(remote_id: str | None = "job_1", relpath: str = "song.mp3") -> Job:
    return Job(
        id=1,
        state=JobState.SEPARATED,
        path=f"/inbox/{relpath}",
        relpath=relpath,
        identity=Identity(1, 2, 3, 4),
        sha256=SHA,
        content_key="k",
        options=Options(),
        outbox="/outbox",
        remote_id=remote_id,
        bpm=124.0,
        key="Gm",
    )


def describe(job: Job, now: float = NOW) -> Callable[[Sequence[ResultFile]], dict[str, Any]]:
    return lambda stems: sidecar.build(job, stems, version="0", now=now)


def staged(outbox: str, job: str = "1", **content: bytes) -> Staging:
    made = Staging(outbox, job, "wav")
    for stem_id, data in (content or {"vocals": b"la", "instrumental": b"dum"}).items():
        with open(made.part(stem_id), "wb") as part:
            part.write(data)
        made.commit_part(stem_id)
    return made


def deliver(outbox: str, parent: str = "", song: str = "song", **kwargs: Any) -> str:
    made = staged(outbox, **kwargs)
    return delivery.publish(made, os.path.join(outbox, parent), song, SHA, describe(a_job()))


def visible(outbox: str) -> set[str]:
    return {name for name in os.listdir(outbox) if not name.startswith(".")}


def test_a_song_appears_with_its_stems_and_sidecar(outbox: str) -> None:
    """The tree that README.md shows, in a mirrored subfolder, with nothing left in the staging."""
    folder = deliver(outbox, "Jazz/70s")
    assert folder == os.path.join(outbox, "Jazz/70s/song")
    files = {"song (Vocals).wav", "song (Instrumental).wav", "song.stemwatch.json"}
    assert set(os.listdir(folder)) == files
    assert Path(folder, "song (Vocals).wav").read_bytes() == b"la"
    found = delivery.verify_folder(folder)
    assert [stem["file"] for stem in found["stems"]] == sorted(files)[1::-1]
    assert os.listdir(os.path.join(outbox, ".stemwatch")) == []


def test_nothing_is_seen_before_the_rename(outbox: str) -> None:
    """A kill after each step leaves the outbox as it was, and the next try takes up the stems."""
    killed = Path(Staging(outbox, "1", "wav").part("vocals"))
    killed.write_bytes(b"la")
    assert visible(outbox) == set()
    made = Staging(outbox, "1", "wav")
    assert made.recover("vocals") is None, "a part is not whole"
    killed.write_bytes(b"la")
    stem = made.commit_part("vocals")
    assert visible(outbox) == set()
    again = Staging(outbox, "1", "wav")
    assert again.recover("vocals") == stem
    again.arrange("song", describe(a_job()))
    assert visible(outbox) == set()
    last = Staging(outbox, "1", "wav")
    assert last.recover("vocals") is None, "what was half-arranged is fetched again"
    with open(last.part("vocals"), "wb") as part:
        part.write(b"la")
    last.commit_part("vocals")
    folder = delivery.publish(last, outbox, "song", SHA, describe(a_job()))
    assert len(os.listdir(folder)) == 2
    assert visible(outbox) == {"song"}


@pytest.mark.parametrize(
    "there", ["song", "SONG", "file", unicodedata.normalize("NFD", "so\u00e9ng")]
)
def test_a_taken_name_gets_the_hash_and_nothing_is_overwritten(outbox: str, there: str) -> None:
    """Whether the same name, another case, another composition, a file or an empty folder."""
    song = unicodedata.normalize("NFC", there) if "\u0301" in there else "song"
    if there == "file":
        Path(outbox, "song").write_text("mine")
    else:
        os.mkdir(os.path.join(outbox, there))
    before = visible(outbox)
    folder = deliver(outbox, song=song)
    assert os.path.basename(folder) == f"{song} [1a2b3c4d]"
    assert delivery.verify_folder(folder)["stems"][0]["file"] == f"{song} [1a2b3c4d] (Vocals).wav"
    assert before < visible(outbox)
    assert os.path.basename(deliver(outbox, song=song)) == f"{song} [1a2b3c4d-2]"


def test_a_name_taken_at_the_last_moment_is_left_alone(outbox: str) -> None:
    """Between the choice of the name and the rename, somebody else may take it."""
    made = staged(outbox)

    def meddle(stems: Sequence[ResultFile]) -> dict[str, Any]:
        if stems[0].file == "song (Vocals).wav":
            os.mkdir(os.path.join(outbox, "Song"))
        return describe(a_job())(stems)

    folder = delivery.publish(made, outbox, "song", SHA, meddle)
    assert os.path.basename(folder) == "song [1a2b3c4d]"
    assert len(os.listdir(folder)) == 3
    delivery.verify_folder(folder)
    assert os.listdir(os.path.join(outbox, "Song")) == []


def test_eight_threads_one_name_and_an_observer(outbox: str) -> None:
    """All get folders of their own, and no folder is ever seen without its whole sidecar."""
    stop = threading.Event()
    faults: list[str] = []
    looks = 0

    def observe() -> None:
        nonlocal looks
        while not stop.is_set():
            for name in visible(outbox):
                looks += 1
                try:
                    delivery.verify_folder(os.path.join(outbox, name))
                except Reject as fault:
                    faults.append(str(fault))

    observer = threading.Thread(target=observe)
    observer.start()

    def one(n: int) -> str:
        song = "Song" if n % 2 else "song"
        return deliver(outbox, song=song, job=str(n), vocals=os.urandom(9_999), drums=b"x")

    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(one, range(24)))
    stop.set()
    observer.join()
    assert not faults
    assert looks
    assert len({naming.fold(folder) for folder in folders}) == 24


def test_the_longest_names_are_delivered(outbox: str) -> None:
    """255 bytes in the inbox, twice, and bytes that are no UTF-8."""
    song = naming.song_name("é" * 125 + "\udcff" + ".mp3")
    folders = {deliver(outbox, song=song) for _ in range(3)}
    assert len(folders) == 3
    for folder in folders:
        delivery.verify_folder(folder)


def test_a_subfolder_on_another_mount_gets_whole_folders_too(outbox: str, far: str) -> None:
    """Staged again beside the destination; nothing hidden stays on either side."""
    os.symlink(far, os.path.join(outbox, "Far"))
    os.mkdir(os.path.join(far, "song"))
    folder = deliver(outbox, "Far")
    assert os.path.basename(folder) == "song [1a2b3c4d]"
    assert delivery.verify_folder(folder)["stems"][0]["bytes"] == 2
    assert sorted(os.listdir(far)) == ["song", "song [1a2b3c4d]"]
    assert os.listdir(os.path.join(outbox, ".stemwatch")) == []


def test_a_hidden_folder_on_another_mount_gets_whole_folders_too(outbox: str, far: str) -> None:
    """Results made on a quick disk and kept on a large one: a paid song was given up."""
    os.symlink(far, os.path.join(outbox, ".stemwatch"))
    os.mkdir(os.path.join(outbox, "song"))
    folder = deliver(outbox)
    assert os.path.basename(folder) == "song [1a2b3c4d]"
    assert delivery.verify_folder(folder)["stems"][0]["bytes"] == 2
    assert os.listdir(far) == []
    assert sorted(os.listdir(outbox)) == [".stemwatch", "song", "song [1a2b3c4d]"]


def test_where_no_rename_can_show_it_a_song_waits(
    outbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some union mounts rename no folder at all: told as the fault of the disk, not of the song."""
    made = staged(outbox)
    monkeypatch.setattr(renaming, "_renameat2", lambda: lambda source, target: errno.EXDEV)
    with pytest.raises(PauseService, match="Mount it"):
        delivery.publish(made, outbox, "song", SHA, describe(a_job()))
    again = Staging(outbox, made.token, "wav")
    assert all(again.recover(stem) for stem in ("vocals", "instrumental"))


def test_a_kill_while_staging_elsewhere_is_cleaned(outbox: str, far: str) -> None:
    """The note in the first staging leads to the second."""
    made = staged(outbox, "dead")
    made.arrange("song", describe(a_job()))
    made.move_beside(far)
    assert os.listdir(far) == [".stemwatch-beside"]
    staged(outbox, "alive")
    staging.clean(outbox, ["dead"])
    assert os.listdir(far) == []
    assert os.listdir(os.path.join(outbox, ".stemwatch")) == ["alive"]


def test_a_forged_note_removes_nothing_else(outbox: str, tmp_path: Path) -> None:
    """Cleaning follows a note to a hidden staging of the same token only."""
    precious = tmp_path / "precious"
    precious.mkdir()
    made = staged(outbox, "dead")
    Path(made.path, "beside").write_bytes(os.fsencode(str(precious)))
    staging.clean(outbox, ["dead"])
    assert precious.is_dir()


def test_a_delivery_is_found_after_a_kill_before_the_commit(outbox: str) -> None:
    """By content, path, remote id and time; another job's folder is never taken for it."""
    Path(outbox, "song").mkdir()
    folder = deliver(outbox)

    def find(**changes: Any) -> str | None:
        job = a_job().evolve(created_at=NOW).evolve(**changes)
        return delivery.find_published(outbox, "song", job)

    assert find() == folder
    assert find(remote_id=None) == folder
    assert find(remote_id="job_2") is None
    assert find(relpath="sub/song.mp3") is None
    assert find(created_at=NOW + 5) is None
    assert delivery.find_published(outbox + "/none", "song", a_job()) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user to be refused")
def test_what_may_not_be_read_is_not_taken_for_gone(tmp_path: Path, outbox: str) -> None:
    """Each is named, so that its stems are waited for; a song of its name is delivered beside."""
    shut = {"folder": "", "entered": "", "sidecar": "sidecar.stemwatch.json"}
    shut |= {"stem": "stem (Vocals).wav", "renamed": ""}
    for number, (song, file) in enumerate(shut.items()):
        folder = deliver(outbox, song=song, job=str(number))
        mode = {"entered": 0o744, "renamed": 0o711}.get(song, 0o700)
        Path(folder, file).chmod(0o600 if file else mode)
    os.rename(os.path.join(outbox, "renamed"), os.path.join(outbox, "by a person"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(0o777)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_mode & 0o5 != 0o5 and str(parent) != "/":
            parent.chmod(0o755)
    code = """
        import os, sys
        from stemwatch.job import Identity, Job, JobState, Options
        from stemwatch.outbox import delivery, earlier, sidecar
        from stemwatch.outbox.staging import Staging
        from stemwatch.outbox.unread import Unreadable
        os.setgroups([]), os.setgid(65534), os.setuid(65534)
        outbox, mine, sha256 = sys.argv[1:]
        for name in sorted(os.listdir(outbox)):
            if name.startswith("."):
                continue
            try:
                folder = os.path.join(outbox, name)
                vocals = sidecar.result_files(sidecar.read(sidecar.locate(folder)))[0]
                earlier.copy(folder, vocals, Staging(mine, "1", "wav"))
            except Unreadable as fault:
                print(os.path.relpath(fault.message, outbox))
                assert (fault.code, fault.counts) == ("outbox_blocked", False)
                assert "uid 65534" in fault.hint
        song = "/inbox/song.mp3", "song.mp3", Identity(1, 2, 3, 4), sha256, "k"
        job = Job(1, JobState.SEPARATED, *song, Options(), outbox)
        for name in ("folder", "entered", "sidecar"):
            assert delivery.find_published(outbox, name, job) is None
    """
    command = [sys.executable, "-c", textwrap.dedent(code), outbox, str(tmp_path / "mine"), SHA]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stdout.splitlines() == [
        f"{path} can't be read: Permission denied."
        for path in (
            "by a person",
            "entered/entered.stemwatch.json",
            "folder",
            "sidecar/sidecar.stemwatch.json",
            "stem/stem (Vocals).wav",
        )
    ], run.stderr
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "fifo", "no sidecar"])
def test_a_damaged_delivery_is_named(outbox: str, damage: str) -> None:
    """Every file is compared with its length and hash."""
    folder = deliver(outbox)
    stem = Path(folder, "song (Vocals).wav")
    if damage == "no sidecar":
        Path(folder, "song.stemwatch.json").unlink()
    elif damage in ("cut", "changed"):
        stem.write_bytes({"cut": b"l", "changed": b"lo"}[damage])
    else:
        stem.unlink()
        if damage == "fifo":
            os.mkfifo(stem)
    with pytest.raises(Reject) as caught:
        delivery.verify_folder(folder)
    assert caught.value.code == "delivery_damaged"
    assert folder in caught.value.message


def test_stems_stay_in_the_apis_order(outbox: str) -> None:
    """However they came: recovered, downloaded late, or mixed."""
    made = staged(outbox, karaoke=b"k", piano=b"p", drums=b"d", vocals=b"v")
    assert [stem.id for stem in made.stems] == ["vocals", "drums", "piano", "karaoke"]


def test_a_missing_outbox_is_never_made(tmp_path: Path) -> None:
    """An absent mount must not be filled underneath."""
    with pytest.raises(PauseService) as caught:
        Staging(str(tmp_path / "absent"), "1", "wav")
    assert caught.value.code == "disk"
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("parent", ["", "album/disc 1"])
def test_an_outbox_that_goes_away_while_it_is_written_to_is_never_made(
    outbox: str, parent: str
) -> None:
    """What is made below a mount point is hidden when the mount comes back: paid for, and lost."""
    made = staged(outbox)
    os.rename(outbox, f"{outbox}-elsewhere")
    for attempt in (
        lambda: made.arrange("song", describe(a_job())),
        lambda: durable.make_dirs(os.path.join(outbox, parent), root=outbox),
    ):
        with pytest.raises(PauseService) as caught:
            attempt()
        assert caught.value.code == "disk"
        assert not os.path.exists(outbox)
    os.rename(f"{outbox}-elsewhere", outbox)
    folder = delivery.publish(made, os.path.join(outbox, parent), "song", SHA, describe(a_job()))
    assert folder == os.path.join(outbox, parent, "song")


def test_a_full_disk_pauses_and_what_was_staged_stays(tiny: str) -> None:
    """With room again, the same staging is published."""
    made = staged(tiny)
    Path(tiny, "hog").write_bytes(b"x" * (free := durable.free_bytes(tiny)))
    assert free > 0
    with pytest.raises(PauseService) as caught:
        delivery.publish(made, tiny, "song", SHA, describe(a_job()))
    assert caught.value.code == "disk"
    assert os.strerror(errno.ENOSPC) in caught.value.message
    assert tiny in caught.value.message
    assert caught.value.hint
    assert visible(tiny) == {"hog"}
    Path(tiny, "hog").unlink()
    delivery.verify_folder(delivery.publish(made, tiny, "song", SHA, describe(a_job())))


def test_what_could_not_be_shown_is_staged_as_before(outbox: str) -> None:
    """The next try takes up every stem: fetched again each time, they would fill the line."""

    def ill(_: Sequence[ResultFile]) -> dict[str, Any]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    made = staged(outbox)
    with pytest.raises(PauseService):
        delivery.publish(made, outbox, "song", SHA, ill)
    again = Staging(outbox, made.token, "wav")
    assert all(again.recover(stem) for stem in ("vocals", "instrumental"))
    delivery.verify_folder(delivery.publish(again, outbox, "song", SHA, describe(a_job())))


def test_what_could_not_be_shown_beside_is_staged_as_before(outbox: str, far: str) -> None:
    """Also after it was copied to the destination's own mount."""
    os.symlink(far, os.path.join(outbox, "sub"))
    made = staged(outbox)
    made.arrange("song", describe(a_job()))
    made.move_beside(os.path.join(outbox, "sub"))
    made.take_back()
    again = Staging(outbox, made.token, "wav")
    assert all(again.recover(stem) for stem in ("vocals", "instrumental"))


def test_who_still_writes_for_a_killed_run_writes_into_nothing(outbox: str) -> None:
    """A helper outlives a killed service by seconds; a new one may be at the same stem by then."""
    part = Path(Staging(outbox, "1", "wav").part("vocals"))
    with part.open("wb", buffering=0) as left_behind:
        again = Staging(outbox, "1", "wav")
        part.write_bytes(b"la")
        left_behind.write(b"half a stem")
        again.commit_part("vocals")
    assert Path(again.file_of("vocals")).read_bytes() == b"la"


def test_a_read_only_disk_pauses(tiny: str) -> None:
    """Naming the path and the system's words; work goes on once it is writable."""
    made = staged(tiny)
    subprocess.run(["mount", "-o", "remount,ro", tiny], check=True)
    with pytest.raises(PauseService) as caught:
        delivery.publish(made, tiny, "song", SHA, describe(a_job()))
    assert os.strerror(errno.EROFS) in caught.value.message
    with pytest.raises(PauseService):
        Staging(tiny, "2", "wav")
    subprocess.run(["mount", "-o", "remount,rw", tiny], check=True)
    delivery.publish(made, tiny, "song", SHA, describe(a_job()))


def test_a_file_in_the_place_of_a_folder_is_named(outbox: str) -> None:
    """The user's file stays, the job waits."""
    Path(outbox, "Jazz").write_text("mine")
    with pytest.raises(RetryLater) as caught:
        deliver(outbox, "Jazz")
    assert caught.value.code == "outbox_blocked"
    assert Path(outbox, "Jazz").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder"])
@pytest.mark.parametrize("supported", [True, False])
def test_a_rename_never_replaces(tmp_path: Path, kind: str, supported: bool) -> None:
    """With the kernel's flag, and without it on file systems that don't know it."""
    rename = renaming.rename_noreplace if supported else renaming._rename_without_flag
    source, target = tmp_path / "source", tmp_path / "target"
    for path in (source, target):
        if kind == "file":
            path.write_text(path.name)
        else:
            path.mkdir()
            if kind == "folder":
                (path / path.name).touch()
    with pytest.raises(FileExistsError):
        rename(str(source), str(target))
    assert source.exists()
    if kind == "file":
        assert target.read_text() == "target"
    rename(str(source), str(tmp_path / "free"))
    assert not source.exists()
    assert (tmp_path / "free").exists()


@pytest.mark.parametrize("token", ["", ".", "..", "a/b", "../x", ".hidden"])
def test_a_token_is_one_plain_name(outbox: str, token: str) -> None:
    """It becomes a path."""
    with pytest.raises(ValueError):
        Staging(outbox, token, "wav")


MIXED = Options(mixes={"solo": ("vocals",), "both": ("vocals", "instrumental")})


def earlier_delivery(outbox: str) -> str:
    made = staged(outbox)
    with open(made.part("solo"), "wb") as part:
        part.write(b"mixed")
    made.commit_part("solo", derived_from=["vocals"], gain_db=-1.0)
    return delivery.publish(made, outbox, "song", SHA, describe(a_job()))


def staged_again(folder: str, new: Staging, options: Options) -> list[ResultFile] | None:
    """What the earlier `folder` gives for `options`, committed in `new`; None: it is not whole."""
    stems = earlier.usable(sidecar.read(sidecar.locate(folder) or ""), options)
    for stem in stems or ():
        if not earlier.copy(folder, stem, new):
            return None
        new.commit_part(stem.id, derived_from=stem.derived_from, gain_db=stem.gain_db)
    return None if stems is None else new.stems


def test_paid_stems_are_reused_under_a_new_name(outbox: str) -> None:
    """Stems and mixes of the same recipe are taken over; other mixes remain to be made."""
    folder = earlier_delivery(outbox)
    new = Staging(outbox, "2", "wav")
    stems = staged_again(folder, new, MIXED)
    assert stems is not None
    assert [(s.id, s.derived_from, s.gain_db) for s in stems] == [
        ("vocals", None, None),
        ("instrumental", None, None),
        ("solo", ("vocals",), -1.0),
    ]
    again = delivery.publish(new, outbox, "other", SHA, describe(a_job()))
    assert Path(again, "other (Vocals).wav").read_bytes() == b"la"
    delivery.verify_folder(folder)
    delivery.verify_folder(again)
    inodes = {entry.inode() for path in (folder, again) for entry in os.scandir(path)}
    assert len(inodes) == 8  # no two share a file


def test_a_mix_of_another_recipe_is_made_anew(outbox: str) -> None:
    """The same name does not make the same mix."""
    folder = earlier_delivery(outbox)
    new = Staging(outbox, "2", "wav")
    options = Options(mixes={"solo": ("instrumental",)})
    stems = staged_again(folder, new, options)
    assert stems is not None
    assert [stem.id for stem in stems] == ["vocals", "instrumental"]


@pytest.mark.parametrize("damage", ["gone", "altered", "link", "directory", "fifo", "other stems"])
def test_what_is_not_whole_is_not_reused(outbox: str, damage: str) -> None:
    """Then no part is left of what was copied, and the song is separated anew."""
    folder = earlier_delivery(outbox)
    stem = Path(folder, "song (Instrumental).wav")
    options = Options(stems=4) if damage == "other stems" else Options()
    if damage == "altered":
        stem.write_bytes(b"dam")
    elif damage != "other stems":
        stem.unlink()
    if damage == "link":
        stem.symlink_to("/etc/passwd")
    elif damage == "directory":
        stem.mkdir()
    elif damage == "fifo":
        os.mkfifo(stem)
    new = Staging(outbox, "2", "wav")
    assert staged_again(folder, new, options) is None
    assert not [name for name in os.listdir(new.path) if name.endswith(".part")]


def test_a_part_that_is_a_link_to_a_delivery_is_not_written_into(outbox: str) -> None:
    """An older stemwatch linked stems into its staging, and may have been killed then."""
    folder = earlier_delivery(outbox)
    new = Staging(outbox, "2", "wav")
    os.link(os.path.join(folder, "song (Instrumental).wav"), new.part("vocals"))
    assert staged_again(folder, new, Options()) is not None
    delivery.verify_folder(folder)


def test_a_full_disk_leaves_no_part(outbox: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that fails is removed, and the disk is told of."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = earlier_delivery(outbox)
    new = Staging(outbox, "2", "wav")
    (vocals, *_) = earlier.usable(sidecar.read(sidecar.locate(folder) or ""), Options()) or []
    monkeypatch.setattr("shutil.copyfileobj", full)
    monkeypatch.setattr("fcntl.ioctl", full)
    with pytest.raises(PauseService):
        earlier.copy(folder, vocals, new)
    assert os.listdir(new.path) == []


def test_reuse_across_devices_copies(outbox: str, far: str) -> None:
    """Where no clone is possible the bytes are copied."""
    folder = deliver(outbox)
    new = Staging(far, "2", "wav")
    assert staged_again(folder, new, Options()) is not None
    assert os.stat(new.file_of("vocals")).st_nlink == 1
    assert json.loads(Path(folder, "song.stemwatch.json").read_text())["bpm"] == 124.0
