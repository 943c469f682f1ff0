"""What the service and the quick commands load at their start: nothing heavy, ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("av", "mutagen", "numpy", "scipy", "starlette", "uvicorn")


@pytest.mark.parametrize(
    "module",
    ["stemwatch.app", "stemwatch.operations.split", "stemwatch.commands.run", "stemwatch.cli"],
)
def test_importing_loads_no_heavy_library(module: str) -> None:
    """They are 20 MB each: a helper process or a function loads them when there is work."""
    code = f"import sys, {module}; print(*({HEAVY!r} & sys.modules.keys()))"
    code = code.replace(repr(HEAVY), repr(set(HEAVY)))
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.split() == []


def test_the_heavy_libraries_are_there_to_be_loaded() -> None:
    """Otherwise the test above would prove nothing."""
    code = f"import {', '.join(HEAVY)}, sys; assert {set(HEAVY)!r} <= sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
