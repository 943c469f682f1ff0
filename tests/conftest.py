"""What holds for every test."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres import Postgres

# How long one example takes says how busy the machine is, and nothing of the code.
settings.register_profile("stemwatch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stemwatch")


def pytest_configure(config: pytest.Config) -> None:
    """Of all tests, each worker imports its share first; the others find its bytecode.

    In a clean clone nobody has rewritten the tests' asserts yet. That takes 5 s of CPU for all of
    them, and five workers that begin with the same file would each do all of it.
    """
    worker: dict[str, str | int] | None = getattr(config, "workerinput", None)
    if worker is None or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    number, count = int(str(worker["workerid"]).removeprefix("gw")), int(worker["workercount"])
    files = sorted(file for folder in config.args for file in Path(folder).rglob("test_*.py"))
    for file in files[number::count]:
        name = ".".join(file.with_suffix("").parts)
        with suppress(Exception, pytest.skip.Exception):  # the collection tells of it
            importlib.import_module(name)


@pytest.fixture
def greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local times are the same on every machine."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One for all tests of the group "cluster" that don't kill it; each has its own database."""
    with Postgres() as running:
        yield running
