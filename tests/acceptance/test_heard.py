"""What the server heard besides tempo and key, and what the song's own tags say, in the sidecar."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mutagen.id3
import mutagen.wave

from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer

HEARD = {
    "separate": {
        "tuning_cents": -12.5,
        "bpm_confidence": 0.75,
        "key_confidence": 0,
        "first_beat_seconds": 1.25,
    },
    "presigned": {
        "audioMetadata": {
            "bpm": 124,
            "key": "C#m",
            "tuningCents": -12.5,
            "bpmConfidence": 0.75,
            "keyConfidence": 0,
            "firstBeatSeconds": 1.25,
        }
    },
}
SHOWN = {
    "tuning_cents": -12.5,
    "tempo_confidence": 0.75,
    "key_confidence": 0.0,
    "first_beat_seconds": 1.25,
}
NO_KEY = dict.fromkeys(("tonic", "mode", "camelot", "open_key"))
A_MINOR = {"tonic": "A", "mode": "minor", "camelot": "8A", "open_key": "1m"}


def once(home: Home) -> None:
    done = home.command("run", "--once", "-c", str(home.config))
    assert done.returncode == 0, done.stdout + done.stderr


def tag(path: Path, bpm: str, key: str) -> None:
    wave = mutagen.wave.WAVE(path)
    wave.add_tags()
    assert wave.tags is not None
    wave.tags.add(mutagen.id3.TBPM(encoding=3, text=[bpm]))  # type: ignore[attr-defined]
    wave.tags.add(mutagen.id3.TKEY(encoding=3, text=[key]))  # type: ignore[attr-defined]
    wave.save()


def shown(sidecar: dict[str, Any]) -> dict[str, Any]:
    return {name: sidecar[name] for name in SHOWN}


def test_both_tempos_and_keys_and_what_was_heard_are_kept(tmp_path: Path, wire: str) -> None:
    """In a delivery, in a reuse of it, and in one of a journal that was lost in between.

    What is heard belongs to the sound; what the tags say, to the file that was dropped.
    """
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        server.scenario(get=[{"merge": HEARD[wire], "times": "ever"}])
        home = Home(tmp_path, server.url)
        tag(drop(home.inbox / "first.wav", 1), "124", "8A")
        once(home)
        tag(drop(home.inbox / "again.wav", 1), "fast", "none of them")
        once(home)
        shutil.rmtree(home.state)
        drop(home.inbox / "later.wav", 1)
        once(home)
        assert server.paid["total"] == 1
    sidecars = home.sidecars()
    assert {name: shown(sidecar) for name, sidecar in sidecars.items()} == dict.fromkeys(
        ("first", "again", "later"), SHOWN
    )
    assert {name: sidecar["own"] for name, sidecar in sidecars.items()} == {
        "first": {"bpm": 124.0, "key": {"raw": "8A", **A_MINOR}},
        "again": {"bpm": None, "key": {"raw": "none of them", **NO_KEY}},
        "later": {"bpm": None, "key": None},
    }
    assert {sidecar["bpm"] for sidecar in sidecars.values()} == {124.0}
    assert {sidecar["key"]["tonic"] for sidecar in sidecars.values()} == {"C#"}
