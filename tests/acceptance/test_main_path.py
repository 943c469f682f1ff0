"""Drop a song, get its stems."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.harness import KEY, Home
from tests.support.scenario.caller import make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


def test_a_dropped_song_is_delivered_with_its_sidecar(tmp_path: Path, wire: str) -> None:
    """The file goes from the inbox to the archive, its stems and sidecar into the outbox."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.3) as server:
        home = Home(tmp_path, server.url)
        with home.service() as service:
            make_song(home.inbox / "song.wav", seconds=5)
            service.wait_for_event("job.done")
        (sidecar,) = home.sidecars().values()
        assert sidecar["source"]["name"] == "song.wav"
        assert (home.archive / "song.wav").is_file()
        assert home.waiting() == []
        assert len(server.requests("post")) == 1
        wait_for(lambda: service.process.poll() is not None)
        assert service.process.returncode == 0
