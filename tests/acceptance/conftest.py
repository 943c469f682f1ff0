"""The acceptance suite holds on both wires: each test that has a server runs on each.

What happens before the first request is the same on both, and so is what the harness marks EITHER:
those modules and tests run on the second wire only with STEMWATCH_WIRES=all
(`STEMWATCH_WIRES=all ./quickstart test tests/acceptance`), as CI's six minutes are few.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import ALL_WIRES, KEY, WIRES
from tests.support import clustered
from tests.support.scenario import server as scenario

if clustered.VARIABLE in os.environ:  # before the tests import it
    from tests.support import scenario_cluster

    scenario.ScenarioServer = scenario_cluster.ClusterServer  # type: ignore[assignment, misc]

    def pytest_sessionfinish() -> None:
        scenario_cluster.end()


BEFORE_THE_WIRE = {"test_arrival", "test_bad_input", "test_budget", "test_duplicates"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "wire" not in metafunc.fixturenames:
        return
    if any("wire" in str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize")):
        return  # the test says itself which wire it is about
    module = metafunc.module.__name__.rpartition(".")[2]
    short = module in BEFORE_THE_WIRE and not ALL_WIRES
    metafunc.parametrize("wire", WIRES[:1] if short else WIRES, scope="module")


@pytest.fixture
def server(wire: str) -> Iterator[scenario.ScenarioServer]:
    """An API that does as it is told, and separates in a tenth of a second."""
    with scenario.ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as running:
        yield running
