"""What the service and the quick commands load, from their start to their end: nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.acceptance.harness import Home

# For work that a helper process does, or another command.
HEAVY = frozenset({"av", "mutagen", "numpy", "scipy", "starlette", "uvicorn", "prometheus_client"})
HEAVY |= {"apprise", "requests"}
# What httpx and structlog take for terminals when they find it.
TERMINAL = frozenset({"rich", "pygments", "markdown_it", "httpx._main"})
# Nobody asked for these, and each brings dozens along.
UNASKED = frozenset({"multiprocessing", "unittest", "pydoc", "xmlrpc", "tkinter", "distutils"})
# All that is not Python's own, the packages that these bring along among them.
QUICK = frozenset({"stemwatch", "click", "structlog", "yaml"})
WHOLE = QUICK | {"httpx", "httpcore", "h11", "anyio", "certifi", "idna", "sniffio"}
WHOLE |= {"watchdog", "tenacity", "typing_extensions"}
SERVICE = frozenset({"httpx", "httpcore", "h11", "anyio", "watchdog", "tenacity"})
NOWHERE = "http://127.0.0.1:9/v1"  # nothing is dropped: nobody asks there


def loaded(home: Home, *arguments: str) -> set[str]:
    """Every module that `stemwatch ARGUMENTS` has loaded when it ends."""
    code = (
        "import sys; from stemwatch.cli import run; assert run(sys.argv[1:]) == 0;"
        "print('loaded:', *sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=home.root,
        env=home.env(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(ran.stdout.splitlines()[-1].removeprefix("loaded:").split())


def packages(modules: set[str]) -> set[str]:
    """Top-level names of what is not Python's own; environments add hidden ones of theirs."""
    tops = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    return {top for top in tops if not top.startswith(("_", "cython", "sitecustomize"))}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("imports"), NOWHERE)
    loaded(made, "run", "--once")  # makes the journal, which loads the text of its tables
    return made


def test_a_service_that_waits_has_loaded_nothing_heavy(home: Home) -> None:
    """Up, through the empty inbox and down again: 20 MB each would be kept for years."""
    found = loaded(home, "run", "--once")
    assert found >= {"httpx", "watchdog", "structlog", "yaml", "tenacity"}
    assert found & (HEAVY | TERMINAL | UNASKED) == set()
    assert packages(found) <= WHOLE
    assert len(found) <= 700  # 656 with Python 3.11


def test_status_loads_no_service(home: Home) -> None:
    """For people it draws with rich; of the service it needs the journal alone."""
    found = loaded(home, "status")
    assert "rich" in found
    assert found & (HEAVY | SERVICE | {"pygments"}) == set()


def test_status_for_programs_draws_nothing(home: Home) -> None:
    """A monitor that asks each minute pays for reading only."""
    found = loaded(home, "status", "--json")
    assert found & (HEAVY | SERVICE | TERMINAL | UNASKED) == set()
    assert packages(found) <= QUICK
    assert len(found) <= 340  # 326 with Python 3.11


@pytest.mark.parametrize("module", ["stemwatch.service.app", "stemwatch.operations.split"])
def test_libraries_come_without_their_terminals(module: str) -> None:
    """Whoever imports them first: rich and pygments are installed, for other commands."""
    code = f"import sys, {module}; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert set(ran.stdout.split()) & (HEAVY | TERMINAL) == set()


def test_what_must_not_be_loaded_is_there_to_be_loaded() -> None:
    """Otherwise the tests above would prove nothing."""
    names = ", ".join(sorted((HEAVY | TERMINAL) - {"prometheus_client"}))
    subprocess.run([sys.executable, "-c", f"import {names}"], check=True, timeout=60)
