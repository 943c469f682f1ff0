"""What holds for every test."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres import Postgres

# How long one example takes says how busy the machine is, and nothing of the code.
settings.register_profile("stemwatch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stemwatch")


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
