"""The trap of separate mounts of one disk: real bind mounts in a mount namespace of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands_support import COMMAND, Home, environment

needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="bind mounts need root and unshare"
)


def inside(home: Home, mounts: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where `mounts` (lines of shell) were made first; they end with it."""
    script = f'set -e\n{mounts}\nexec "$@"'
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *command],
        cwd=home.root,
        env=environment(home.root),
        capture_output=True,
        text=True,
        timeout=60,
    )


def bound(*folders: Path) -> str:
    """Each mounted on itself: what `ReadWritePaths=` with several paths comes to."""
    return "\n".join(f"mount --bind '{folder}' '{folder}'" for folder in folders)


@needs_mounts
def test_check_finds_folders_that_are_mounted_one_by_one(tmp_path: Path) -> None:
    """A warning for each pair, with what to change; the service itself says it at its start."""
    home = Home(tmp_path)
    mounts = bound(home.inbox, home.outbox, home.archive, home.quarantine)
    told = inside(home, mounts, *COMMAND, "check")
    assert told.returncode == 0, told.stdout  # slow, not broken
    lines = told.stdout.splitlines()
    for end in ("archive", "quarantine"):
        (at,) = [i for i, line in enumerate(lines) if f"folders.inbox and folders.{end}" in line]
        assert lines[at].startswith("! folders: ")
        assert "ReadWritePaths=" in lines[at + 1]
    ran = inside(home, mounts, *COMMAND, "run", "--once")
    assert ran.stderr.count("folders.separate_mounts") == 2
    left = {p.name for f in (home.inbox, home.archive, home.quarantine) for p in f.iterdir()}
    assert left == set()


@needs_mounts
def test_check_is_content_with_one_parent_and_with_other_disks(tmp_path: Path) -> None:
    """One mount for all is right; another disk is a choice, and its copies are expected."""
    home = Home(tmp_path)
    for mounts in (
        bound(tmp_path) + f"\ncd '{tmp_path}'",
        f"mount -t tmpfs none '{home.archive}'\nmount -t tmpfs none '{home.quarantine}'",
    ):
        told = inside(home, mounts, *COMMAND, "check")
        assert told.returncode == 0, told.stdout
        assert "mounted separately" not in told.stdout


@needs_mounts
def test_a_folder_that_takes_no_file_is_judged_by_its_mount(tmp_path: Path) -> None:
    """A read-only inbox can't be tried; the kernel's numbers of the mounts say the same."""
    home = Home(tmp_path)
    (tmp_path / "look.py").write_text(
        "from stemwatch.operations import moves; import sys\n"
        "print(moves._renames(*sys.argv[1:3]), moves._renames(sys.argv[2], sys.argv[2]))\n"
    )
    mounts = f"{bound(home.inbox)}\nmount -o remount,bind,ro '{home.inbox}'"
    told = inside(home, mounts, sys.executable, "look.py", str(home.inbox), str(home.archive))
    assert told.stdout.split() == ["False", "True"], told.stderr
