"""Songs that the API does not take are delivered all the same: as a FLAC of their sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.harness import KEY, Home
from tests.support.encoded import encode
from tests.support.scenario.server import ScenarioServer

SONGS = {"a.aiff": "pcm_s24be", "b.opus": "libopus", "c.mp4": "aac", "d.wv": "wavpack"}


@pytest.mark.parametrize("upload", ["auto", "original"])
def test_what_the_api_does_not_take_goes_as_flac(tmp_path: Path, wire: str, upload: str) -> None:
    """Whatever `prepare.upload` says: nothing else could be sent. The originals are archived."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        watch = {"settle_seconds": 0.05}
        home = Home(tmp_path, server.url, watch=watch, prepare={"upload": upload})
        with home.service() as service:
            for name, codec in SONGS.items():
                encode(tmp_path / name, codec)
                (tmp_path / name).rename(home.inbox / name)
            service.wait_for_event("job.done", count=len(SONGS))
        sent = {job["filename"] for job in server.paid["jobs"]}
    assert sent == {"a.flac", "b.flac", "c.flac", "d.flac"}
    found = {one["source"]["name"]: one for one in home.sidecars().values()}
    assert set(found) == set(SONGS)
    assert all(one["separation"]["uploaded"]["codec"] == "flac" for one in found.values())
