"""What pyproject.toml asks for: nothing that nobody has tried yet may be installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
LISTS = {
    "build": PYPROJECT["build-system"]["requires"],
    "run": PROJECT["dependencies"],
    **PROJECT["optional-dependencies"],
}


@pytest.mark.parametrize("name", LISTS)
def test_every_requirement_has_an_upper_bound(name: str) -> None:
    """A new major of PyAV, taken by itself, once refused every song of every inbox."""
    outside = [one for one in LISTS[name] if not re.match(r"stemwatch\b", one)]
    assert [one for one in outside if not re.search(r"<\d|==\d", one)] == []


def test_the_oldest_python_is_the_first_one_named() -> None:
    """The classifiers say which ones were tried."""
    named = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if ":: Python ::" in name]
    assert PROJECT["requires-python"] == f">={named[0]}"
