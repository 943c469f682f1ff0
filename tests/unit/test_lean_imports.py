"""Importing a library without what it would take along."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from stemwatch.lean_imports import without


def test_an_import_fails_inside_and_works_afterwards() -> None:
    """In a process of its own: this one has everything loaded already."""
    code = (
        "from stemwatch.lean_imports import without\n"
        "with without('wave', 'nowhere.to.be.found'):\n"
        "    try:\n"
        "        import wave\n"
        "    except ImportError:\n"
        "        print('absent')\n"
        "import wave\n"
        "print(wave.__name__)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.split() == ["absent", "wave"]


def test_what_is_loaded_already_stays() -> None:
    """Taking a module from under somebody who uses it would be worse than its weight."""
    with without("json"):
        assert importlib.import_module("json") is sys.modules["json"]
    assert sys.modules["json"] is not None


def test_an_error_leaves_nothing_behind() -> None:
    """A name that stays blocked would break an import far away."""
    with pytest.raises(ValueError, match="broken"), without("no_such_module"):
        raise ValueError("broken library")
    assert "no_such_module" not in sys.modules


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("stemwatch.server.assembly", ("psycopg", "procrastinate", "stemwatch.server.cluster")),
        ("stemwatch.commands.serve", ("psycopg", "procrastinate", "starlette")),
        ("stemwatch.service", ("psycopg", "procrastinate", "stemwatch.server.cluster")),
        ("stemwatch.server.cluster.working", ("starlette", "uvicorn", "httpx", "numpy", "av")),
    ],
)
def test_nobody_loads_what_only_others_need(module: str, absent: tuple[str, ...]) -> None:
    """One server needs no database's libraries; a cluster's worker none of a web server's."""
    code = f"import sys, {module}; print(sorted({set(absent)!r} & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == "[]\n"
