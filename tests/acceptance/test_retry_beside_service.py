"""`stemwatch retry` while the service runs: it is another process, and nobody tells the pool."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


def test_what_is_retried_beside_an_idle_service_is_worked_on(tmp_path: Path, wire: str) -> None:
    """The soak found it left `queued` for ever: nothing woke the service, the file was known."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.05) as server:
        server.scenario(jobs=[{"plan": "failed"}])
        home = Home(tmp_path, server.url, watch={"settle_seconds": 0.05, "rescan_seconds": 0.5})
        with home.service():
            drop(home.inbox / "song.wav")
            wait_for(home.reasons)
            # A round that comes after the journal's change finds the file known, and moves on.
            done = home.command("retry", "song.wav", "-c", str(home.config))
            assert done.returncode == 0, done.stderr
            wait_for(home.sidecars)
    assert server.paid["total"] == 2
