"""Files with passwords: what is told to keep others off them must not keep the service off, too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemwatch.private_file import closing

NOBODY = 65534
# Reads a configuration as an account that is not root, and prints the hint where that is refused.
READ = f"""
import os, sys
from stemwatch.config import load
from stemwatch.errors import ConfigFault
load(sys.argv[1], env={{"HOME": "/"}})  # all is imported: a home may hide this Python from others
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
try:
    load(sys.argv[1], env={{"HOME": "/"}})
except ConfigFault as fault:
    print(fault.hint)
"""


@pytest.fixture
def config() -> Iterator[Path]:
    """In a folder that other accounts can enter; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "config.yaml")
        path.write_text("notify: {urls: ['json://127.0.0.1:9/canary']}\n")
        path.chmod(0o644)
        yield path


def obey(told: str) -> None:
    """Run the command that stands in backticks, as who reads it would."""
    (command,) = re.findall("`(.*?)`", told)
    subprocess.run(["sh", "-euc", command], check=True)


def refused(path: Path) -> str:
    """The hint that a service of another account ends with; "" where it can read the file."""
    asked = [sys.executable, "-c", READ, str(path)]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account to be refused")
def test_who_does_what_is_told_has_a_service_that_starts(config: Path) -> None:
    """Root's file, another account's service: closed to all others, and then by mistake to both."""
    obey(closing(str(config), config.stat().st_uid, (NOBODY, NOBODY)))
    assert config.stat().st_mode & 0o777 == 0o640
    assert refused(config) == ""
    config.chmod(0o600)
    obey(refused(config))
    assert refused(config) == ""
    assert config.stat().st_mode & 0o007 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account to be refused")
def test_who_does_what_is_told_takes_no_file_from_a_service(config: Path) -> None:
    """It is another group's already, or nobody can tell: no command is told that changes it."""
    os.chown(config, 0, 54321)
    config.chmod(0o640)
    told = refused(config)
    assert told.startswith("Its group, 54321, may read it: run this as the account")
    config.parent.chmod(0o750)
    assert refused(config).startswith("A folder above it is closed to this account: run this as")
    config.parent.chmod(0o755)
    os.chown(config, 0, 0)  # root's group is no service's
    obey(refused(config))
    assert refused(config) == ""


def test_who_owns_the_file_keeps_it_to_himself() -> None:
    assert closing("/a b", 7, (7, 8)) == "`chmod 600 '/a b'`"


def test_root_is_told_both_ways() -> None:
    """Root's own service reads a file that is root's alone, and nobody else's does."""
    told = closing("/a", 0, (0, 0))
    assert told.startswith("`chmod 600 /a`")
    assert "`chgrp` to its group and `chmod 640`" in told
