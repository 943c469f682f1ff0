"""What the tests of pauses share: how to wait for one, for its end, and for its tries.

Times between requests are the server's, in real time: a Retry-After is never scaled.
"""

from __future__ import annotations

import itertools
from typing import Any

from tests.acceptance.harness import Service
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

SCALE = 0.01

QUICK = {"settle_seconds": 0.05}  # the songs are written in one go
# Scaled, an upload ahead would be given up where a busy machine polls late, and be sent again.
PATIENT = "hold_max=30"


def paused(service: Service, reason: str) -> dict[str, Any]:
    """The event that reported this pause."""

    def told() -> dict[str, Any] | None:
        events = (e for e in service.events("service.paused") if e["reason"] == reason)
        return next(events, None)

    return wait_for(told, what=f"a pause for {reason} in\n{service.text()}")


def resumed(service: Service) -> list[str]:
    return [event["reason"] for event in service.events("service.resumed")]


def wait_until_done(service: Service, count: int = 1) -> None:
    archive = service.home.archive
    wait_for(lambda: len(list(archive.glob("*.wav"))) >= count, what=f"done in\n{service.text()}")


def times(entries: list[dict[str, Any]]) -> list[float]:
    return [entry["time"] for entry in entries]


def pairs(values: list[float]) -> list[tuple[float, float]]:
    return list(itertools.pairwise(values))


def assert_tries_become_rare(server: ScenarioServer, route: str, quick: int) -> None:
    """Wait for three that come 30 s, scaled, after the one before; at most `quick` come sooner."""

    def asked() -> tuple[int, int]:
        moments = times(server.requests(route))
        rare = sum(b - a >= 30 * SCALE - 0.01 for a, b in pairs(moments))
        return len(moments) - rare, rare

    wait_for(lambda: asked()[0] > quick or asked()[1] >= 3, what=f"rare requests of {route}")
    assert asked()[0] <= quick
