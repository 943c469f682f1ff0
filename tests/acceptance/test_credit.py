"""What is left at the API is shown, and asked for no more often than songs are paid for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.harness import PRESIGNED, Home
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

SHOP = "https://stemsplit.example/credits"


def told(home: Home) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(home.command("status", "--json").stdout)
    return document


def no_credit(wire: str) -> dict[str, Any]:
    """A 402 in the wire's own words."""
    more = {"requiredSeconds": 218.5, "purchaseUrl": f"{SHOP}?plan=1"}
    if wire == "separate":
        return {"status": 402, "body": {"error": "no credit", **more}, "times": "ever"}
    error = {"code": "INSUFFICIENT_CREDITS", "message": "Insufficient credits", **more}
    return {"status": 402, "body": {"error": error}, "times": "ever"}


def test_a_credit_pause_is_told_with_what_is_missing_and_where_to_buy(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """The song's need, the shop and what is left; the figure is asked anew at both its ends."""
    server.scenario(balance_seconds=3, post=[no_credit(server.wire)])
    home = Home(tmp_path, server.url)
    with home.scaled_service(0.01, "credit_every=3600") as service:
        drop(home.inbox / "song.wav")
        service.wait_for_event("service.paused")
        wait_for(lambda: home.status()["pauses"])
        text, document = home.command("status").stdout, told(home)
        assert "Paused (credit)" in text
        assert "it needs 218.5 s of credit" in text
        assert f"Buy credit at {SHOP}." in text
        (pause,) = document["pauses"]
        assert "218.5 s" in pause["message"]
        assert pause["hint"] == f"Buy credit at {SHOP}."
        server.scenario(balance_seconds=7200, post=[])
        service.wait_for_event("service.resumed")
        if server.wire == "presigned":
            assert document["credit"]["seconds"] == 3
            assert document["credit"]["at"].endswith("Z")
            assert "Credit: 0 minutes left (" in text
            wait_for(lambda: home.status()["credit"]["seconds"] == 7200)
            assert "Credit: 120 minutes left (" in home.command("status").stdout
        else:
            assert document["credit"] is None
            assert "Credit:" not in text
        service.wait_for_event("job.done")
    assert server.paid["total"] == 1


def _scanned(home: Home, times: int) -> None:
    """Wait for so many further looks through the inbox."""
    scans = home.status()["watcher"]["scans"]
    wait_for(lambda: home.status()["watcher"]["scans"] >= scans + times)


@PRESIGNED
def test_an_idle_service_does_not_ask(tmp_path: Path, server: ScenarioServer) -> None:
    """Once at the start, once after the songs that were paid for; then nothing, however long."""
    home = Home(tmp_path, server.url, watch={"rescan_seconds": 0.2})
    with home.scaled_service(0.02, "credit_every=0.3") as service:
        wait_for(lambda: len(server.requests("balance")) == 1)
        server.scenario(balance_seconds=600)
        for number in range(3):
            drop(home.inbox / f"song{number}.wav", number)
        service.wait_for_event("job.done", count=3)
        wait_for(lambda: home.status()["credit"]["seconds"] == 600)
        _scanned(home, 3)  # 0.6 s: it may ask once more, where one was paid while it asked
        asked = len(server.requests("balance"))
        _scanned(home, 6)  # 1.2 s
        assert len(server.requests("balance")) == asked <= 4
    # a service that does not run any more says nothing of a credit that others may have spent
    assert told(home)["credit"] is None


@PRESIGNED
def test_a_balance_that_can_not_be_told_stops_nothing(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Whatever `GET /balance` answers, songs go on, and status says null."""
    server.scenario(balance=[{"status": 500}, {"html": True, "times": "ever"}])
    home = Home(tmp_path, server.url)
    with home.scaled_service(0.01) as service:
        drop(home.inbox / "song.wav")
        service.wait_for_event("job.done")
        wait_for(lambda: len(server.requests("balance")) == 2)
        assert told(home)["credit"] is None
        assert service.events("service.paused") == []
