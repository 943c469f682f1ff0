"""Forked commands are processes like others: ends, signals, output, environment, folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import warm

ENV = {"PATH": os.environ["PATH"], "PYTHONPATH": os.fspath(warm.ROOT)}
CHILD = [sys.executable, "-m", "tests.unit.test_warm"]


def child(what: str) -> None:
    """What the forks of these tests do."""
    if what == "tell":
        print(os.getcwd(), os.environ.get("COLOUR"), os.listdir("/proc/self/fd")[:-1])
        print("to stderr", file=sys.stderr)
        sys.exit(3)
    if what == "fail":
        raise LookupError("no luck")
    if what == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def test_output_exit_code_environment_and_folder(tmp_path: Path) -> None:
    """Nothing of the warm process shows: no descriptor, no variable."""
    done = warm.run([*CHILD, "tell"], cwd=tmp_path, env={**ENV, "COLOUR": "red"})
    assert done.returncode == 3
    assert done.stdout.split(" ", 2)[:2] == [os.fspath(tmp_path), "red"]
    assert done.stdout.split(" ", 2)[2].strip() == "['0', '1', '2']"
    assert done.stderr == "to stderr\n"


def test_an_uncaught_error_ends_as_python_ends(tmp_path: Path) -> None:
    """Code 1 and a traceback."""
    done = warm.run([*CHILD, "fail"], cwd=tmp_path, env=ENV)
    assert done.returncode == 1
    assert done.stderr.endswith("LookupError: no luck\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_arrive_and_are_told(tmp_path: Path, number: signal.Signals) -> None:
    """From us or from itself."""
    with (tmp_path / "log").open("wb") as log:
        process = warm.popen([*CHILD, "wait"], cwd=tmp_path, env=ENV, stdout=log, stderr=log)
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(number)
        assert process.wait(30) == -number
        process.kill()  # it is gone: nobody is hit
    assert warm.run([*CHILD, "signal"], cwd=tmp_path, env=ENV).returncode == -signal.SIGKILL


if __name__ == "__main__":
    child(sys.argv[1])
