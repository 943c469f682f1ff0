"""`python -m tests.faults.all` in small: its rows, and that a promise that fell short is told."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import all as everything
from tests.faults import result
from tests.faults.all import ROOT, SWEEPS, Sweep, table
from tests.faults.result import Result

HELD = Result("nothing lost", "200 kills", "0 lost", [], "python -m tests.faults.kill_sweep")
SHORT = Result("a stop | costs nothing", "60", "1 lost", ["rename 3: lost"], "python -m x")


def test_a_sweep_gives_its_row_of_the_table(tmp_path: Path) -> None:
    """A real one in small, by the command that README names."""
    only, promise = ("hostile", "a hostile API harms nobody | 100 generated jobs")
    command = [sys.executable, "-m", "tests.faults.all", "--size", "small"]
    done = subprocess.run(
        [*command, "--only", only, "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    log = (tmp_path / f"{only}.log").read_text(errors="replace")
    assert done.returncode == 0, done.stdout + done.stderr + log
    assert done.stdout == (tmp_path / "table.md").read_text()
    (row,) = done.stdout.splitlines()[2:]
    assert row.startswith(f"| {promise}"), row
    assert row.count(" | ") == 3, row
    assert "`python -m tests.faults." in row, row
    assert "--json" not in row, row


def test_a_promise_that_fell_short_is_told(tmp_path: Path) -> None:
    """In its row and by the exit code; a sweep without a result is not a promise that held."""
    file = tmp_path / "stop.json"
    assert result.conclude(HELD, None) == 0
    assert result.conclude(SHORT, file) == 1
    assert result.load(file) == SHORT
    rows = table({"stop": result.load(file), "kill": HELD, "soak": None}).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| nothing lost",
        "| a stop / costs nothing",
        "| soak",
    ]
    assert "**fell short, 1 fault**: rename 3: lost; 1 lost" in rows[1]
    assert "came to no end" in rows[2]


@pytest.mark.parametrize("arguments", ["no_such_sweep", "grammar"])
def test_a_sweep_that_gives_no_result_is_no_success(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It crashed, or ended without a word: `all` exits 1. Signals are pytest's again afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    monkeypatch.setattr(everything, "SWEEPS", (Sweep("soak", arguments, arguments),))
    assert everything.main(["--size", "small", "--out", str(tmp_path)]) == 1
    assert [signal.getsignal(number) for number in numbers] == before
    assert "came to no end" in (tmp_path / "table.md").read_text()


def test_missing_tools_are_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the line that installs them: a run of an hour must not end for want of one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert everything.main(["--only", "stop", "soak", "--out", str(tmp_path / "out")]) == 2
    assert "`apt-get install strace`" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_command_is_told_as_it_is_typed() -> None:
    """Without the interpreter's path and the file that only `all` reads."""
    argv = ["/x/python3.11", "-m", "tests.faults.soak", "--minutes", "30", "--json", "a b.json"]
    assert result.command_of(argv) == "python -m tests.faults.soak --minutes 30"


@pytest.mark.parametrize("sweep", SWEEPS, ids=[sweep.name for sweep in SWEEPS])
def test_the_full_size_of_a_sweep_is_the_same_everywhere(sweep: Sweep) -> None:
    """What `all` runs is what its own text, its test and the page of the promises call whole."""
    module = sweep.full.split()[0]
    command = f"python -m tests.faults.{sweep.full}"
    own = (ROOT / f"tests/faults/{module}.py").read_text("utf-8").splitlines()
    assert any(line.strip().startswith(command) for line in own)
    assert f"`{command}`" in (ROOT / "docs/promises.md").read_text("utf-8")
    (first, *_) = (ROOT / f"tests/faults/test_{module}.py").read_text("utf-8").splitlines()
    (whole,) = re.findall(r"`python -m tests\.faults\.([^`]+)`", first)
    assert whole in {one.full for one in SWEEPS}
