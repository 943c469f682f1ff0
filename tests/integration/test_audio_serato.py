"""Serato's cue points and beat grid, from a song into stems of the same codec."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import mutagen.flac
import mutagen.id3
import mutagen.mp3
import numpy as np
import pytest

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.audio.results import StemTag
from stemwatch.audio.stemtags import write_tags
from stemwatch.audio.tagging.serato import cue_points
from stemwatch.audio.tags import read_tags
from tests.support.audio_samples import decoded, tone, write
from tests.support.odd_files import encode
from tests.support.retag import make
from tests.support.serato import COMMENTS, FRAMES, leave, left_in, payload, text

PAYLOADS = {name: payload(name) for name in FRAMES}
TEXTS = {name: text(name).encode() for name in COMMENTS}
SAME_CODEC = [
    ("song.mp3", "mp3", PAYLOADS),
    ("song.wav", "wav", PAYLOADS),
    ("song.aiff", "wav", PAYLOADS),
    ("song.flac", "flac", TEXTS),
]


def stem_of(song: Path, format: str) -> Path:
    """A stem that has the tags that a delivery gives it."""
    stem = write(song.parent / f"stem.{format}", tone(1))
    source = os.fspath(song)
    tags = replace(read_tags(source), serato=cue_points(source, format))
    own = StemTag("T", "Vocals", 1)
    assert write_tags(os.fspath(stem), format, tags, own, bpm=120.0, key="Am", afresh=True) is None
    return stem


@pytest.mark.parametrize(("name", "format", "expected"), SAME_CODEC)
def test_stems_of_the_same_codec_get_the_very_bytes(
    tmp_path: Path, name: str, format: str, expected: dict[str, bytes]
) -> None:
    """Nothing of the mix's own comes along, the other tags stay, and no sample changes."""
    stem = stem_of(leave(make(tmp_path, name)), format)
    assert left_in(stem) == expected
    assert read_tags(os.fspath(stem)).text["bpm"] == ("120",)
    assert np.array_equal(decoded(stem), decoded(write(tmp_path / f"bare.{format}", tone(1))))


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("song.mp3", "wav"),
        ("song.mp3", "flac"),
        ("song.wav", "mp3"),
        ("song.wav", "flac"),
        ("song.flac", "wav"),
        ("song.flac", "mp3"),
        ("song.aiff", "mp3"),
    ],
)
def test_stems_of_another_codec_get_none(tmp_path: Path, name: str, format: str) -> None:
    """Where a program lets a song begin depends on the codec: each cue would be off."""
    assert left_in(stem_of(leave(make(tmp_path, name)), format)) == {}


@pytest.mark.parametrize(
    ("codec", "container", "name", "format"),
    [
        ("adpcm_ima_wav", "wav", "song.wav", "wav"),
        ("mp2", "mp2", "song.mp3", "mp3"),
        ("aac", "adts", "song.mp3", "mp3"),
        ("flac", "ogg", "song.flac", "flac"),
        ("alac", "ipod", "song.m4a", "m4a"),
    ],
)
def test_the_codec_is_told_by_content(
    tmp_path: Path, codec: str, container: str, name: str, format: str
) -> None:
    """Neither its name nor the tags in front say what is inside."""
    song = encode(tmp_path / name, codec, 1.0, container=container)
    if codec in ("mp2", "aac"):
        tags = mutagen.id3.ID3()
        for desc in FRAMES:
            tags.add(mutagen.id3.GEOB(encoding=0, desc=desc, data=b"x"))  # type: ignore[attr-defined]
        tags.save(song)
    elif codec == "adpcm_ima_wav":
        leave(song)
    assert cue_points(os.fspath(song), format) == {}


@pytest.mark.parametrize(("name", "format", "expected"), SAME_CODEC[:1] + SAME_CODEC[3:])
def test_what_is_missing_or_too_large_costs_the_others_nothing(
    tmp_path: Path, name: str, format: str, expected: dict[str, bytes]
) -> None:
    """Without any of them, with one, and with one of more than 1 MB."""
    bare = make(tmp_path, name)
    assert cue_points(os.fspath(bare), format) == {}
    _, second, third = expected
    song = leave(leave(bare, second, size=1 << 20), third)
    assert left_in(stem_of(song, format)) == {third: expected[third]}


def test_bytes_that_are_no_base64_are_left_out(tmp_path: Path) -> None:
    """mutagen replaces what is not UTF-8: a copy would not be one."""
    song = make(tmp_path, "song.flac")
    flac = mutagen.flac.FLAC(song)
    flac["SERATO_BEATGRID"] = "\ufffd"
    flac.save()
    assert cue_points(os.fspath(song), "flac") == {}


@pytest.mark.parametrize("format", ["mp3", "flac", "wav"])
def test_a_song_that_is_gone_or_no_song_has_none(tmp_path: Path, format: str) -> None:
    """The stems are paid for: it is no reason to hold them up."""
    path = tmp_path / "song"
    assert cue_points(os.fspath(path), format) == {}
    path.write_bytes(b"RIFF")
    assert cue_points(os.fspath(path), format) == {}


def test_only_who_asks_for_them_gets_them(tmp_path: Path) -> None:
    """Through the helper, as a delivery asks."""
    song = os.fspath(leave(make(tmp_path, "song.mp3")))
    asked, unasked = (write(tmp_path / f"{name}.mp3", tone(1)) for name in ("asked", "unasked"))

    async def scenario() -> None:
        audio = AudioHelper()
        for stem, serato in ((asked, {"serato": True}), (unasked, {})):
            files = {os.fspath(stem): StemTag("T")}
            assert await audio.tag(song, files, "mp3", None, None, **serato) == []
        await audio.close()

    asyncio.run(scenario())
    assert left_in(asked) == PAYLOADS
    assert left_in(unasked) == {}
