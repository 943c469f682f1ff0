"""The sidecar: the shape that docs/sidecar.md tells out, nothing but that shape in."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwatch.errors import Reject
from stemwatch.job import Identity, Job, JobState, Options
from stemwatch.outbox import sidecar
from stemwatch.outbox.sidecar import ResultFile
from stemwatch.outbox.unread import Unreadable
from tests.support.sidecars import OLD

SHA = "ab" * 32
STEMS = [
    ResultFile("vocals", "song (Vocals).wav", SHA, 10),
    ResultFile("karaoke", "song (Karaoke).wav", SHA, 10, ("drums", "bass"), -1.5),
]


def job(**changes: Any) -> Job:
    made = Job(
        id=1,
        state=JobState.SEPARATED,
        path="/inbox/sub/song.mp3",
        relpath="sub/song.mp3",
        identity=Identity(1, 2, 8734512, 4),
        sha256=SHA,
        content_key="k",
        options=Options(),
        outbox="/outbox",
    )
    return made.evolve(**changes)


def built(**changes: Any) -> dict[str, Any]:
    return sidecar.build(job(**changes), STEMS, version="0.1.0", now=1767225600.9)


def test_every_key_is_there_and_what_is_unknown_is_null() -> None:
    """The shape of docs/sidecar.md, with explicit nulls."""
    assert built() == {
        "schema": "stemwatch.sidecar/2",
        "bpm": None,
        "key": None,
        "own": {"bpm": None, "key": None},
        "tuning_cents": None,
        "tempo_confidence": None,
        "key_confidence": None,
        "first_beat_seconds": None,
        "duration_seconds": None,
        "source": {
            "name": "song.mp3",
            "relpath": "sub/song.mp3",
            "sha256": SHA,
            "audio_sha256": None,
            "bytes": 8734512,
            "codec": None,
            "sample_rate": None,
            "channels": None,
        },
        "separation": {
            "engine": "stemsplit",
            "model": None,
            "model_sha256": None,
            "job_id": None,
            "stems": 2,
            "format": "wav",
            "submitted_at": None,
            "completed_at": None,
            "cost_minutes": None,
            "credits_charged": None,
            "uploaded": None,
        },
        "stems": [
            {
                "id": "vocals",
                "file": "song (Vocals).wav",
                "sha256": SHA,
                "audio_sha256": None,
                "bytes": 10,
                "derived_from": None,
                "gain_db": None,
                "loudness_lufs": None,
                "true_peak_dbtp": None,
                "active_share": None,
            },
            {
                "id": "karaoke",
                "file": "song (Karaoke).wav",
                "sha256": SHA,
                "audio_sha256": None,
                "bytes": 10,
                "derived_from": ["drums", "bass"],
                "gain_db": -1.5,
                "loudness_lufs": None,
                "true_peak_dbtp": None,
                "active_share": None,
            },
        ],
        "stem_file": None,
        "reused_from": None,
        "created_at": "2026-01-01T00:00:00Z",
        "stemwatch": "0.1.0",
    }


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Non-UTF-8 names are replaced, so that the file is valid UTF-8, and NaN becomes null."""
    path = str(tmp_path / "song.stemwatch.json")
    content = sidecar.build(
        job(
            relpath="s\udcff/so\udcfeng.mp3",
            duration=1.5,
            submitted_at=0.0,
            bpm=float("nan"),
            key="C# minor",
        ),
        STEMS,
        version="0.1.0",
        now=0.0,
        reused_from="Other\udcff",
        cost_minutes=3.65,
    )
    sidecar.write(path, content)
    found = sidecar.read(path)
    assert found == content
    assert sidecar.result_files(found) == STEMS
    assert found["source"]["name"] == "so\ufffdng.mp3"
    assert found["bpm"] is None
    assert found["key"]["camelot"] == "12A"
    assert found["separation"]["submitted_at"] == "1970-01-01T00:00:00Z"
    assert sidecar.unix(found["created_at"]) == 0.0
    assert os.listdir(tmp_path) == ["song.stemwatch.json"]


def test_one_of_the_first_schema_is_read() -> None:
    """What was delivered before stems were measured is history, and is reused."""
    found = sidecar.read(str(OLD))
    assert found["schema"] == "stemwatch.sidecar/1"
    assert [stem.id for stem in sidecar.result_files(found)] == ["vocals", "instrumental"]


def bent(*path: str | int, value: Any) -> bytes:
    content = built()
    place: Any = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"bpm": ' + b"9" * 5000 + b"}",
        b" " * (sidecar.LIMIT + 1),
        bent("schema", value="stemwatch.sidecar/3"),
        bent("schema", value=["stemwatch.sidecar/2"]),
        bent("bpm", value="124"),
        bent("bpm", value=float("nan")),
        json.dumps(built()).encode().replace(b'"bpm": null', b'"bpm": 1e999'),
        bent("duration_seconds", value=True),
        bent("source", value=None),
        bent("source", "sha256", value="AB" * 32),
        bent("source", "bytes", value="8"),
        bent("source", "relpath", value="\ud800"),
        bent("separation", "stems", value=3),
        bent("separation", "format", value=["wav"]),
        bent("separation", "job_id", value=17),
        bent("stems", value=[]),
        bent("stems", value={}),
        bent("stems", 0, value=None),
        bent("stems", 0, "file", value="../../etc/shadow"),
        bent("stems", 0, "file", value="/etc/shadow"),
        bent("stems", 0, "file", value=".."),
        bent("stems", 0, "file", value="a\0b"),
        bent("stems", 0, "bytes", value=10**400),
        bent("stems", 0, "derived_from", value="drums"),
        bent("stem_file", value="song.stem.m4a"),
        bent("stem_file", value={"codec": "alac"}),
        bent("stem_file", value={"file": "../x", "sha256": SHA, "bytes": 1, "codec": "alac"}),
        bent("key", value="Gm"),
    ],
)
def test_anything_else_is_refused_with_its_path(tmp_path: Path, data: bytes) -> None:
    """Hostile, torn or future content is one clear error, never a crash."""
    path = tmp_path / "x.stemwatch.json"
    path.write_bytes(data)
    with pytest.raises(Reject) as caught:
        sidecar.read(str(path))
    assert caught.value.code == "sidecar"
    assert str(path) in caught.value.message
    assert caught.value.hint


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.sampled_from(
        [
            *((key,) for key in built()),
            *(("source", key) for key in built()["source"]),
            *(("separation", key) for key in built()["separation"]),
            *(("stems", 0, key) for key in built()["stems"][0]),
        ]
    ),
    JSON,
)
def test_any_value_anywhere_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str | int, ...], value: Any
) -> None:
    """What is read can be worked with; nothing raises but Reject."""
    path = tmp_path_factory.getbasetemp() / "any.stemwatch.json"
    path.write_bytes(bent(*place, value=value))
    try:
        found = sidecar.read(str(path))
    except Reject:
        return
    for stem in sidecar.result_files(found):
        assert "/" not in stem.file
    sidecar.unix(found.get("created_at"))


def test_a_fifo_or_a_link_of_that_name_neither_blocks_nor_is_followed(tmp_path: Path) -> None:
    """A plain open of a FIFO would block for ever."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name in ("fifo", "link", "missing", "."):
        with pytest.raises(Reject):
            sidecar.read(str(tmp_path / name))


def test_what_can_not_be_opened_for_a_moment_is_there(tmp_path: Path) -> None:
    """No descriptor is free: it counted as damaged, and its song was paid for again.

    A journal that is made again must not lack it: that is done once.
    """
    for name in ("S", "T"):
        sidecar.write(path := str(tmp_path / f"{name}.stemwatch.json"), built())
    every = sidecar.find(str(tmp_path))
    next(every)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)  # the lowest one
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(Unreadable, match=re.escape(os.strerror(errno.EMFILE))):
            sidecar.read(path)
        with pytest.raises(Unreadable):
            next(every)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(list(sidecar.find(str(tmp_path)))) == 2


def test_a_lost_journal_finds_every_delivery(tmp_path: Path) -> None:
    """Nested folders and renamed ones are found; hidden ones, links and damage are not."""
    for folder in ("A", "sub/B", "sub/renamed", ".stemwatch/7/song", "bad"):
        (tmp_path / folder).mkdir(parents=True)
        sidecar.write(str(tmp_path / folder / "S.stemwatch.json"), built())
    (tmp_path / "bad" / "S.stemwatch.json").write_text("{")
    (tmp_path / "loop").symlink_to(tmp_path)
    faults: list[Reject] = []
    found = {folder for folder, _ in sidecar.find(str(tmp_path), on_fault=faults.append)}
    assert found == {str(tmp_path / name) for name in ("A", "sub/B", "sub/renamed")}
    assert [str(tmp_path / "bad") in fault.message for fault in faults] == [True]
