"""Hostile answers, a small sweep; `python -m tests.faults.hostile --size 10000` is the full one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stemwatch.stemsplit.line.address_guard import is_public
from tests.faults.grammar import FORBIDDEN, PUBLIC
from tests.faults.hostile import is_special

SIZE = 100  # cases, and 8 songs the whole way


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs 127.0.0.99 and /proc")
def test_hostile_answers_do_no_harm() -> None:
    """Nothing outside the outbox, no forbidden connection, no key abroad, memory flat."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.hostile", "--size", str(SIZE)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{SIZE} cases"), done.stdout
    assert "delivered" in done.stdout, done.stdout
    assert "download ok" in done.stdout, done.stdout
    assert "B GET ok" in done.stdout, done.stdout


@pytest.mark.parametrize("address", [*FORBIDDEN, *PUBLIC])
def test_the_guard_and_its_judge_agree(address: str) -> None:
    """Two lists of forbidden addresses, written apart, say the same."""
    assert is_public(address) == (address in PUBLIC) == (not is_special(address))
