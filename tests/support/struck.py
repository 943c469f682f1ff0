"""Kills a command at its n-th system call of a name, by strace."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, environment


@cache
def _can_trace() -> bool:
    """Containers may have strace and still forbid it to attach."""
    traced = ["strace", "-qqq", "-e", "trace=none", "true"]
    return shutil.which("strace") is not None and not subprocess.run(traced, check=False).returncode


needs_strace = pytest.mark.skipif(not _can_trace(), reason="strace is missing or not allowed here")


def struck(cwd: Path, *arguments: str, call: str, n: int, **changes: str) -> bool:
    """Run `stemwatch ARGUMENTS`, killed before the n-th `call` of a thread; whether it was.

    `changes` are variables of its environment.
    """
    inject = f"inject={call}:signal=SIGKILL:when={n}"
    trace = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
    done = subprocess.run(
        [*trace, *COMMAND, *arguments],
        cwd=cwd,
        env=environment(cwd, **changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, -9, 137), done.stderr
    return done.returncode != 0
