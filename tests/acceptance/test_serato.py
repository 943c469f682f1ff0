"""A DJ's cue points in the delivered stems."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import drop
from tests.support.retag import retag
from tests.support.scenario.server import ScenarioServer
from tests.support.serato import FRAMES, leave, left_in, payload


def once(home: Home) -> None:
    done = home.command("run", "--once", "-c", str(home.config))
    assert done.returncode == 0, done.stdout + done.stderr


def test_stems_have_the_songs_cue_points_as_they_are_now(tmp_path: Path) -> None:
    """Those of a first delivery, and those that were set before the same song was dropped again."""
    with ScenarioServer(key=KEY, job_seconds=0.1) as server:
        home = Home(tmp_path, server.url, tags={"serato": True})
        song = leave(drop(tmp_path / "song.wav"))
        later = leave(retag(Path(shutil.copy(song, tmp_path / "later.wav")), "New"), size=900)
        for path in (song, later):
            path.rename(home.inbox / path.name)
            once(home)
        assert server.paid["total"] == 1
    for name, size in (("song", 400), ("later", 900)):
        stems = list((home.outbox / name).glob("*.wav"))
        assert len(stems) == 2
        for stem in stems:
            assert left_in(stem) == {frame: payload(frame, size) for frame in FRAMES}
