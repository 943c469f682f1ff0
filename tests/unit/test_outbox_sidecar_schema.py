"""The published JSON Schema of a sidecar: it takes ours, refuses wrong ones, explains each key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import stemwatch
from stemwatch.audio.results import Measures
from stemwatch.outbox import sidecar
from tests.support.sidecars import OLD, faults_of, schema
from tests.unit.test_outbox_sidecar import SHA, STEMS, built, job

DOCS = Path(stemwatch.__file__).parents[1] / "docs"
MEASURED = Measures(-18.23, -0.16, 0.4032)


def full() -> dict[str, Any]:
    """One in which little is null."""
    made = job(
        audio_sha256=SHA,
        duration=218.5,
        codec="mp3",
        sample_rate=44_100,
        channels=2,
        engine="htdemucs",
        model="htdemucs",
        model_sha256=SHA,
        remote_id="job_a8f2c1",
        uploaded_codec="flac",
        uploaded_bytes=7,
        submitted_at=1.0,
        completed_at=2.0,
        bpm=124.57,
        key="C# minor",
    )
    stems = [replace(stem, measures=MEASURED, audio_sha256=SHA) for stem in STEMS]
    found = sidecar.build(
        *(made, stems),
        version="0.1.0",
        now=3.5,
        reused_from="Other",
        cost_minutes=3.6417,
    )
    # What other parts of stemwatch add.
    told = {"tuning_cents": -12.5, "tempo_confidence": 0.9, "key_confidence": 0.5}
    own = {"bpm": 124.6, "key": None}
    file = {"file": "song.stem.m4a", "sha256": SHA, "bytes": 5, "codec": "alac"}
    return found | told | {"first_beat_seconds": 0.21, "own": own, "stem_file": file}


def test_it_is_a_schema_and_both_copies_are_equal() -> None:
    Draft202012Validator.check_schema(schema())
    published = (DOCS / "sidecar-2.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == schema()


@pytest.mark.parametrize("made", [built(), full(), {**full(), "own": None, "a later key": 1}])
def test_it_takes_what_is_delivered(made: dict[str, Any]) -> None:
    """With every value and with none; keys that it does not know are no fault."""
    assert faults_of(made) == []


WRONG = [
    (("schema",), "stemwatch.sidecar/1"),
    (("bpm",), "124"),
    (("key", "mode"), "dorian"),
    (("key", "camelot"), "13A"),
    (("source", "sha256"), "AB" * 32),
    (("source", "bytes"), -1),
    (("separation", "stems"), 3),
    (("separation", "format"), "ogg"),
    (("separation", "submitted_at"), "yesterday"),
    (("stems",), []),
    (("stems", 0, "file"), "../song.wav"),
    (("stems", 0, "file"), ".."),
    (("stems", 0, "loudness_lufs"), "loud"),
    (("stems", 0, "active_share"), 1.5),
    (("stems", 1, "derived_from"), "drums"),
    (("tempo_confidence",), 2),
    (("own", "bpm"), "fast"),
    (("stem_file", "bytes"), None),
]


@pytest.mark.parametrize(("place", "value"), WRONG)
def test_it_refuses_a_wrong_value(place: tuple[str | int, ...], value: object) -> None:
    made = full()
    inner: Any = made
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    assert [fault for fault in faults_of(made) if str(place[-1]) in fault], faults_of(made)


def test_no_key_is_unknown_and_an_earlier_sidecar_lacks_the_measures() -> None:
    """A measure that is left out is a fault, whatever its value may be: nulls are explicit."""
    parts = [(schema(), built()), (schema()["$defs"]["stem"], built()["stems"][0])]
    parts += [(schema()["properties"][part], built()[part]) for part in ("source", "separation")]
    for rules, made in parts:
        assert set(rules["required"]) <= set(made) <= set(rules["properties"])
    old = faults_of(json.loads(OLD.read_text(encoding="utf-8")) | {"schema": built()["schema"]})
    assert len(old) == 6 + 6  # three for each of its two stems; what was heard, and `own`


def properties(part: Any) -> Iterator[tuple[str, Any]]:
    """Every key that the schema names, at any depth."""
    for below in (
        part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    ):
        yield from properties(below)
    if isinstance(part, dict) and isinstance(part.get("properties"), dict):
        yield from part["properties"].items()


def test_each_key_is_described_and_stands_in_the_docs() -> None:
    """In one sentence."""
    page = (DOCS / "sidecar.md").read_text(encoding="utf-8")
    found = list(properties(schema()))
    assert len(found) > 50
    for name, rules in found:
        assert rules.get("description", "").endswith("."), name
        assert re.search(rf"[`.]{name}[`.\[]", page), name
