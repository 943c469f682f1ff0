"""What `status` tells beside a running service: whose songs, how far, how long, and from where."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.acceptance.harness import KEY, SEPARATE, Home
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


def told(home: Home) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(home.command("status", "--json").stdout)
    return document


def separating(home: Home, name: str) -> list[dict[str, Any]]:
    """An entry of `running`; an earlier song may still be told, for a second."""
    running = told(home)["running"]
    return [one for one in running if (one["stage"], one["name"]) == ("separating", name)]


@SEPARATE  # what is told does not depend on the wire
def test_what_is_under_way_what_came_last_and_how_long_it_takes(tmp_path: Path, wire: str) -> None:
    """A running song has its path and a bar; the last delivery its tempo, key and folder."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        home = Home(tmp_path, server.url)
        with home.service() as service:
            drop(home.inbox / "First.wav", 1)
            service.wait_for_event("job.done")
            server.scenario(job_seconds=3600)
            drop(home.inbox / "Party" / "Second.wav", 2)
            (home.inbox / "cover.jpg").write_bytes(b"no song")
            (running,) = wait_for(lambda: separating(home, "Second.wav"))
            document, text = told(home), home.command("status").stdout
    assert (running["name"], running["relpath"]) == ("Second.wav", "Party/Second.wav")
    assert document["configuration"] == document["service"]["configuration"] == str(home.config)
    assert (document["separates"], document["device"]) == ("api", None)
    (last,) = document["delivered"]
    assert (last["name"], last["folder"]) == ("First.wav", os.fspath(home.outbox / "First"))
    assert document["remaining"]["songs"] == 1
    assert document["remaining"]["seconds"] > 0
    assert [one["relpath"] for one in document["inboxes"][0]["waits"]["files"]] == ["cover.jpg"]

    lines = text.splitlines()
    assert lines[0] == f"Configuration: {home.config}"
    assert lines[1].endswith("the API separates")
    assert "Inbox: nothing waits to be taken; left alone: 1 is no song (.jpg)" in lines
    assert any(line.startswith("Queue: 1 separating; 1 done; about ") for line in lines)
    assert any("Party/Second.wav" in line and "░" in line for line in lines)
    (first,) = (line for line in lines if "First.wav: " in line)
    assert "BPM" in first
    assert first.endswith(last["folder"])


def test_a_local_run_is_told_whatever_its_configuration_names(tmp_path: Path) -> None:
    """`run --local` spends nothing, and `status` must not say that it does."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    assert told(home)["separates"] == "api"
    with home.service("--local"):
        wait_for(lambda: told(home)["service"]["configuration"])
        drop(home.inbox / "Short.wav", 2)
        wait_for(lambda: told(home)["engine"])
        document, text = told(home), home.command("status").stdout
    assert document["separates"] == "local"
    assert document["budget"]["price_per_minute"] == 0
    assert text.splitlines()[1].endswith("this machine separates, engine spectral")
    assert "Spent: nothing, this machine separates." in text
