"""One `.stem.m4a` a song: delivered whole or not at all, and never a reason to pay again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import mutagen.mp4

from tests.acceptance.harness import SEPARATE, Home
from tests.acceptance.songs import drop
from tests.support.mp4_boxes import stem_json, track_boxes
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


@SEPARATE
def test_it_is_delivered_after_a_kill_and_with_reused_stems(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Killed while it is written, nothing is shown; then all is, and one song is paid for once."""
    made = {"stems": 6, "format": "flac", "stem_file": "alac"}
    home = Home(tmp_path, server.url, separation=made, outbox={"name": "{name} - {bpm}"})
    song = drop(home.inbox / "song.wav", 1, seconds=30).read_bytes()
    with home.service() as service:
        wait_for(lambda: list(home.outbox.glob(".stemwatch/*/all.alac.m4a.part")), every=0.002)
        service.kill()
    assert home.sidecars() == {}
    with home.service() as service:
        service.wait_for_event("job.done")
        (home.inbox / "again.wav").write_bytes(song)
        service.wait_for_event("job.done", count=2)
    sidecars = home.sidecars()
    assert list(sidecars) == ["again - 124", "song - 124"]
    assert server.paid["total"] == 1
    for name, sidecar in sidecars.items():
        told, folder = sidecar["stem_file"], home.outbox / name
        assert (told["file"], told["codec"]) == (f"{name}.stem.m4a", "alac")
        path = folder / told["file"]
        data = path.read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (told["sha256"], told["bytes"])
        assert {entry.name for entry in folder.iterdir()} == {
            *(stem["file"] for stem in sidecar["stems"]),
            path.name,
            f"{name}.stemwatch.json",
        }
        assert len(stem_json(path)["stems"]) == 4
        assert [track.samples for track in track_boxes(path)] == [30 * 44_100] * 5
        tags = mutagen.mp4.MP4(path).tags or {}
        assert (tags["©nam"], tags["tmpo"]) == ([name.partition(" ")[0]], [124])


@SEPARATE
def test_split_makes_one_where_it_is_asked_to(tmp_path: Path, server: ScenarioServer) -> None:
    """Not of two stems: nothing is paid for then. Asked for later, it is made of the same stems."""
    home = Home(tmp_path, server.url)
    drop(home.root / "song.wav", 1)
    asked = ["split", "song.wav", "-o", "out", "-c", str(home.config), "--stem-file", "aac"]
    refused = home.command(*asked)
    assert refused.returncode == 2
    assert "--stems 4 or --stems 6" in refused.stderr
    assert server.paid["total"] == 0

    def folders(*command: str) -> int:
        """So many are there after it."""
        done = home.command(*command, "--stems", "4")
        assert done.returncode == 0, done.stderr
        return len(list((home.root / "out").glob("song*")))

    assert folders(*asked[:-2]) == 1
    assert folders(*asked) == folders(*asked) == 2
    (made,) = (home.root / "out").glob("*/*.stem.m4a")
    assert len(track_boxes(made)) == 5
    made.unlink()
    assert folders(*asked) == 3
    assert server.paid["total"] == 1
