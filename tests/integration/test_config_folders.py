"""Folders tried for real, and the example written for real."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stemwatch.config import (
    Settings,
    defaults,
    example_text,
    folder_faults,
    load,
    make_folders,
    write_example,
)
from stemwatch.errors import ConfigFault
from tests.faults.disks import Tmpfs, why_no_mounts

WHO = f"uid {os.geteuid()}, gid {os.getegid()}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return defaults(env={"HOME": str(tmp_path)})


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that other accounts can enter; pytest's own folders are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def tree(path: Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


def test_a_missing_inbox_is_a_fault_and_the_rest_can_be_made(
    tmp_path: Path, settings: Settings
) -> None:
    """The inbox may be a mount that is away; what can be made is no fault. Nothing is made."""
    inbox = settings.folders.inbox
    (fault,) = folder_faults(settings)
    assert fault.startswith(f"folders.inbox: {inbox} does not exist; `mkdir -p {inbox}`")
    assert tree(tmp_path) == []


def test_made_folders_have_no_faults_and_nothing_is_left(
    tmp_path: Path, settings: Settings
) -> None:
    """The service makes its own folders, `init` the inbox too; the state is private."""
    make_folders(settings)
    assert not os.path.exists(settings.folders.inbox)
    make_folders(settings, inbox=True)
    before = tree(tmp_path)
    assert folder_faults(settings) == []
    assert tree(tmp_path) == before
    assert os.stat(settings.state_dir).st_mode & 0o777 == 0o700


def test_what_a_killed_check_left_is_removed(tmp_path: Path, settings: Settings) -> None:
    """By the next one, however soon: a service that is killed at its start is started again."""
    make_folders(settings, inbox=True)
    before = tree(tmp_path)
    for folder in (settings.folders.inbox, settings.folders.outbox, settings.state_dir):
        Path(folder, ".stemwatch-check-left").touch()
        Path(folder, ".stemwatch-check-left-renamed").touch()
    assert folder_faults(settings) == []
    assert tree(tmp_path) == before


def test_checks_of_one_folder_at_once_do_each_other_no_harm(
    tmp_path: Path, settings: Settings
) -> None:
    """Whether another's file was left behind no check can know: all succeed all the same."""
    make_folders(settings, inbox=True)
    before = tree(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: folder_faults(settings), range(200)))
    assert [faults for faults in found if faults] == []
    assert tree(tmp_path) == before


def test_files_in_the_place_of_folders_are_all_named(tmp_path: Path, settings: Settings) -> None:
    """Each folder that can't be one has its own sentence."""
    (tmp_path / "stemwatch").touch()
    with pytest.raises(ConfigFault) as caught:
        make_folders(settings)
    assert len(caught.value.faults) == 3
    (tmp_path / "stemwatch").unlink()
    make_folders(settings, inbox=True)
    os.rmdir(settings.folders.outbox)
    Path(settings.folders.outbox).touch()
    (fault,) = folder_faults(settings)
    assert fault.startswith(f"folders.outbox: {settings.folders.outbox} can't be a folder")


def test_the_archive_matters_only_when_it_is_used(tmp_path: Path) -> None:
    """With originals deleted or kept, no archive is asked for."""
    (tmp_path / "i").mkdir()
    (tmp_path / "f").touch()
    config = tmp_path / "c.yaml"
    text = "folders: {{inbox: i, outbox: o, quarantine: q, archive: f, after_success: {}}}\n"
    env = {"HOME": str(tmp_path)}
    config.write_text(text.format("archive"))
    assert len(folder_faults(load(str(config), env=env))) == 1
    config.write_text(text.format("keep"))
    assert folder_faults(load(str(config), env=env)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another account")
def test_a_folder_of_another_account(open_home: Path) -> None:
    """The sentence names path, uid, gid and the reason; all folders at once."""
    settings = defaults(env={"HOME": str(open_home)})
    make_folders(settings, inbox=True)
    for place in open_home.rglob("*"):
        place.chmod(0o755)
    os.rmdir(settings.folders.archive)
    code = """
import os, sys
from stemwatch.config import defaults, folder_faults
settings = defaults(env={"HOME": sys.argv[1]})
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print("\\n".join(folder_faults(settings)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(open_home)], capture_output=True, text=True, check=True
    )
    folders = settings.folders
    end = (
        "can't be written, renamed in and deleted from by uid 65534, gid 65534: Permission denied."
    )
    assert done.stdout.splitlines() == [
        f"folders.inbox: {folders.inbox} {end}",
        f"folders.outbox: {folders.outbox} {end}",
        f"folders.quarantine: {folders.quarantine} {end}",
        f"folders.archive: {folders.archive} does not exist and uid 65534, gid 65534 can't make "
        f"it in {open_home}/stemwatch: Permission denied.",
        f"state_dir: {settings.state_dir} {end}",
    ]


def test_a_full_disk_is_no_fault_and_a_read_only_one_is(settings: Settings) -> None:
    """With a full disk the service starts and waits; read-only is for a person to mend."""
    make_folders(settings, inbox=True)
    outbox = settings.folders.outbox
    if (why := why_no_mounts()) is not None:
        pytest.skip(why)
    with Tmpfs(Path(outbox), 1) as disk:
        disk.fill()
        before = os.listdir(outbox)
        assert folder_faults(settings) == []
        assert os.listdir(outbox) == before
        disk.read_only(True)
        (fault,) = folder_faults(settings)
        assert fault.endswith(f"by {WHO}: Read-only file system.")


def test_init_writes_once(tmp_path: Path) -> None:
    """The example is written with its folder, and never over anything."""
    path = tmp_path / "new" / "config.yaml"
    write_example(str(path))
    assert path.read_text("utf-8") == example_text()
    path.write_text("mine")
    with pytest.raises(ConfigFault, match="exists already"):
        write_example(str(path))
    assert path.read_text() == "mine"
    with pytest.raises(ConfigFault, match="can't be written: Not a directory"):
        write_example(str(path / "below"))


def test_init_puts_the_folders_elsewhere_and_leaves_the_comments(tmp_path: Path) -> None:
    """What they tell of the defaults holds for every file."""
    path = tmp_path / "config.yaml"
    write_example(str(path), "/srv/music")
    lines = zip(path.read_text("utf-8").splitlines(), example_text().splitlines(), strict=True)
    names = ("inbox", "outbox", "quarantine", "archive")
    assert [new for new, old in lines if new != old] == [f"  {n}: /srv/music/{n}" for n in names]
