"""The shipped unit, run by a real systemd that was booted for it (this machine's own, borrowed)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.scenario.server import ScenarioServer
from tests.systemd.boot import KEY, STEPS, Booted
from tests.systemd.machine import Machine, borrowed, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"{why_not()}; boots a systemd"),
    pytest.mark.xdist_group("systemd-boot"),
]


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    root = tmp_path_factory.mktemp("boot") / "root"
    options = borrowed(root)
    with ScenarioServer(key=KEY, job_seconds=0.2) as server, Machine(root, options) as machine:
        yield Booted(machine, server, 6.0)


def test_the_shipped_unit(booted: Booted) -> None:
    """Each step goes on from where the one before it left the machine."""
    for step in STEPS:
        try:
            step(booted)
        except BaseException:
            print(f"failed: {step.__name__}")
            print(booted.machine.run("journalctl", "--no-pager", "-n", "60", check=False).stdout)
            raise
