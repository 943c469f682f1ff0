"""The trap of separate mounts of one disk: real bind mounts in a mount namespace of our own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, Home, environment
from tests.support.waiting import namespaces

needs_mounts = pytest.mark.skipif(
    not namespaces(), reason="bind mounts need root that may make namespaces"
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
    """A warning for each pair, with what to change, and nothing left behind. Slow, not broken."""
    home = Home(tmp_path)
    mounts = bound(home.inbox, home.outbox, home.archive, home.quarantine)
    told = inside(home, mounts, *COMMAND, "check")
    assert told.returncode == 0, told.stdout
    lines = told.stdout.splitlines()
    for end in ("archive", "quarantine"):
        (at,) = [i for i, line in enumerate(lines) if f"folders.inbox and folders.{end}" in line]
        assert lines[at].startswith("! folders: ")
        assert "ReadWritePaths=" in lines[at + 1]
    left = {p.name for f in (home.inbox, home.archive, home.quarantine) for p in f.iterdir()}
    assert left == set()


@needs_mounts
def test_the_service_says_it_at_its_start(tmp_path: Path) -> None:
    """`check` is often run outside of the service's mounts."""
    home = Home(tmp_path, "api: {base_url: 'http://127.0.0.1:9/v1', key_file: key}")
    (tmp_path / "key").write_text("sk-canary-0123456789")
    (tmp_path / "key").chmod(0o600)
    ran = inside(home, bound(home.inbox, home.archive), *COMMAND, "run", "--once")
    assert ran.stderr.count("folders.separate_mounts") == 2, ran.stderr
    assert ran.returncode == 0


@needs_mounts
def test_what_is_no_trap_is_none(tmp_path: Path) -> None:
    """One mount for all is right; copies to another disk are expected; a read-only inbox can't be
    tried, and is judged by the kernel's numbers of the mounts."""
    home = Home(tmp_path)
    (tmp_path / "look.py").write_text(
        "import os\n"
        "from stemwatch import config\n"
        "from stemwatch.operations.check import renames as moves\n"
        "settings = config.load('stemwatch.yaml', env=os.environ)\n"
        "print(*(trap.keys[1] for trap in moves.traps(settings.every_inbox[0])))\n"
    )
    disk = f"mount -t tmpfs none '{home.archive}'"
    read_only = f"{bound(home.inbox)}\nmount -o remount,bind,ro '{home.inbox}'"
    for mounts, trapped in (
        (f"{bound(tmp_path)}\ncd '{tmp_path}'", []),
        (f"{bound(home.quarantine)}\n{disk}", ["folders.quarantine"]),
        (read_only, ["folders.archive", "folders.quarantine"]),
        (f"{bound(tmp_path)}\nmount -o remount,bind,ro '{tmp_path}'\ncd '{tmp_path}'", []),
    ):
        told = inside(home, mounts, sys.executable, "look.py")
        assert told.stdout.split() == trapped, told.stderr
