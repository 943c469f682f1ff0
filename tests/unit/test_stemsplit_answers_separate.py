"""A job's JSON: what is taken from it, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwatch.errors import Reject, RetryLater, StemwatchError
from stemwatch.heard import Heard
from stemwatch.job import STEMS
from stemwatch.stemsplit.answers import Answer, usable_id
from stemwatch.stemsplit.answers_separate import parse_job
from stemwatch.stemsplit.interface import RemoteJob, RemoteStatus

DONE: dict[str, Any] = {
    "job_id": "j1",
    "status": "completed",
    "stems": {"vocals": "https://s.test/v", "instrumental": "https://s.test/i"},
    "bpm": 124.0,
    "key": "C# minor",
    "duration_seconds": 218.5,
}


def parse(data: Any, stems: int = 2) -> RemoteJob:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return parse_job(Answer(200, {}, raw, "GET /jobs/j1", 0.0), "j1", stems=stems)


def test_the_tutorials_answer() -> None:
    """The documented payload, field by field."""
    assert parse(DONE) == RemoteJob(
        status=RemoteStatus.COMPLETED,
        stems={"vocals": "https://s.test/v", "instrumental": "https://s.test/i"},
        bpm=124.0,
        key="C# minor",
    )


@pytest.mark.parametrize("word", ["processing", "queued", "EXPIRED", "💥", ""])
def test_unknown_words_are_running(word: str) -> None:
    """Only completed and failed end a job."""
    assert parse({"status": word}).status is RemoteStatus.RUNNING


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("too quiet", "too quiet"),
        ({"code": "X", "message": "too quiet"}, "too quiet"),
        (None, "no reason given"),
        (17, "no reason given"),
        ("a\nb\x00", "a b"),
    ],
)
def test_failed_says_why(error: Any, expected: str) -> None:
    """The reason is kept in one safe line."""
    job = parse({"status": "Failed", "error": error})
    assert (job.status, job.error) == (RemoteStatus.FAILED, expected)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b'{"status": "compl',
        b"[]",
        {},
        {"status": None},
        {"status": "completed"},
        {"status": "completed", "stems": []},
        DONE | {"job_id": "another"},
    ],
)
def test_what_cant_be_used_is_asked_again(data: Any) -> None:
    """HTML, half a JSON, missing keys and somebody else's job are bad answers."""
    with pytest.raises(RetryLater) as caught:
        parse(data)
    assert caught.value.code == "bad_answer"


def test_compressed_answers_are_not_unpacked() -> None:
    """We asked for identity; what comes compressed may be a bomb."""
    with pytest.raises(RetryLater):
        packed = Answer(200, {"content-encoding": "gzip"}, json.dumps(DONE).encode(), "GET", 0.0)
        parse_job(packed, "j1", stems=2)


@pytest.mark.parametrize("url", [None, "", 5, ["https://x"]])
def test_a_missing_stem_is_refused(url: Any) -> None:
    """A completed job without one of its stems can't be delivered whole."""
    with pytest.raises(Reject) as caught:
        parse(DONE | {"stems": {"vocals": "https://s.test/v", "instrumental": url}})
    assert caught.value.code == "missing_stem"
    assert "instrumental" in caught.value.message


def test_hostile_stem_names_are_never_taken() -> None:
    """Names are looked up, not read: `../../x` and its kin vanish."""
    stems = DONE["stems"] | {"../../x": "https://e/1", "/etc/x": "https://e/2", "a\0": "https://e"}
    assert set(parse(DONE | {"stems": stems}).stems) == {"vocals", "instrumental"}


@pytest.mark.parametrize("bpm", [None, 0, -3, True, "124", 1e999, 10**400, [], {}])
def test_unusable_bpm_is_none(bpm: Any) -> None:
    """Only a finite positive number is a tempo."""
    assert parse(DONE | {"bpm": bpm}).bpm is None


def test_what_only_our_own_server_hears() -> None:
    """It is taken where it is told; the real API tells none of it, and what is odd is left out."""
    told = {
        "tuning_cents": -12.5,
        "bpm_confidence": 0.7,
        "key_confidence": 2,
        "first_beat_seconds": 1,
    }
    assert parse(DONE | told).heard == Heard(-12.5, 0.7, None, 1.0)
    assert parse(DONE).heard is None


@pytest.mark.parametrize("key", [None, "", "x" * 65, "C\n#", 5, "a\u202eb"])
def test_unusable_key_is_none(key: Any) -> None:
    """Only short printable text is a key."""
    assert parse(DONE | {"key": key}).key is None


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0, 0.0), (0.5, 0.5), (1, 1.0), (42, 0.42), (1000, 1.0), (-1, None), ("5", None)],
)
def test_progress(progress: Any, expected: float | None) -> None:
    """Fractions and percents both end between 0 and 1."""
    assert parse({"status": "processing", "progress": progress}).progress == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("job_a8f2c1", "job_a8f2c1"),
        ("a/../b", "a/../b"),
        (17, "17"),
        ("x" * 200, "x" * 200),
        ("x" * 201, None),
        ("", None),
        (" ", None),
        (".", None),
        ("..", None),
        ("a\nb", None),
        ("a\0", None),
        ("\ud800", None),
        (True, None),
        (None, None),
        (1.5, None),
        ({}, None),
    ],
)
def test_usable_ids(value: Any, expected: str | None) -> None:
    """Ids are printable and short; dots alone would leave their place in a path."""
    assert usable_id(value) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    stems=st.dictionaries(st.sampled_from([*STEMS[6], "../x", "/x"]) | st.text(), JSON),
    extra=st.dictionaries(st.sampled_from(["bpm", "key", "duration_seconds", "engine"]), JSON),
    count=st.sampled_from([2, 4, 6]),
)
def test_whatever_comes_in(stems: dict[str, Any], extra: dict[str, Any], count: int) -> None:
    """Any JSON gives a checked job or one of our faults, never another exception."""
    try:
        job = parse({"status": "completed", "stems": stems} | extra, stems=count)
    except StemwatchError:
        return
    assert tuple(job.stems) == STEMS[count]
    assert job.bpm is None or job.bpm > 0
    assert job.key is None or (job.key.isprintable() and len(job.key) <= 64)
