"""Engine names and the optional packages."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from stemwatch.errors import ConfigFault
from stemwatch.server.engines import ENGINES, find, load

ROOT = Path(__file__).parent.parent.parent


def test_engines_have_a_place() -> None:
    """A known name has one, and a place is its own."""
    assert find("spectral").place == "stemwatch.server.engines.spectral.separation:separate"
    assert find("my.engine:run").place == "my.engine:run"
    assert load("os.path:join") is os.path.join


@pytest.mark.parametrize("place", sorted({one.place for one in ENGINES.values()}))
def test_known_engines_are_there(place: str) -> None:
    """Each name of the table leads to a module (not imported here: that takes seconds)."""
    module, _, function = place.partition(":")
    assert (find_spec(module) is not None, function) == (True, "separate")


@pytest.mark.parametrize("name", ["spectal", "magic", "", "a:b-c", "os path:join", ":run"])
def test_unknown_engines_are_refused(name: str) -> None:
    """With the nearest known name, or all of them."""
    with pytest.raises(ConfigFault, match="spectral"):
        find(name)


def test_a_missing_extra_names_the_command(tmp_path: Path) -> None:
    """Without the packages of the extra, one sentence says how to install them: exit 78."""
    command = [sys.executable, "-S", "-m", "stemwatch.server", "--data-dir", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stdout) == (78, "")
    # The package is on no index: from where it came, into the environment that runs.
    assert f"{sys.executable} -m pip install '{ROOT}[local]'" in done.stderr
    assert done.stderr.count("\n") == 1
