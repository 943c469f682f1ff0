"""What FFmpeg is told of a file by its first bytes: only what it would find out by itself."""

from __future__ import annotations

import array
import os
import wave
from pathlib import Path

import av
import pytest

from stemwatch.audio.containers.told_kind import told_kind
from stemwatch.audio.probe import probe
from tests.support.audio_samples import FORMATS, tone, write
from tests.support.odd_files import encode

TOLD = {"wav": "wav", "mp3": "mp3"}
DTS = bytes.fromhex("7ffe8001")


def plain(path: Path, sound: bytes) -> Path:
    """A WAV that calls these bytes samples."""
    with wave.open(os.fspath(path), "wb") as out:
        out.setparams((2, 2, 48_000, 0, "NONE", ""))
        out.writeframes(sound)
    return path


@pytest.mark.parametrize("format", FORMATS)
def test_only_what_is_certain_is_told(tmp_path: Path, format: str) -> None:
    path = os.fspath(write(tmp_path / f"a.{format}", tone(2)))
    assert told_kind(path) == TOLD.get(format)
    with av.open(path) as found:
        assert TOLD.get(format, found.format.name) == found.format.name
        assert probe(path).codec == found.streams.audio[0].codec_context.codec.canonical_name


def test_a_tag_and_a_cover_in_front_hide_no_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", tone(1))
    cover = b"ID3\x04\0\0" + bytes((0, 4, 0, 0)) + bytes(1 << 16)
    path.write_bytes(cover + path.read_bytes())
    assert told_kind(os.fspath(path)) == "mp3"


@pytest.mark.parametrize("swapped", [False, True])
def test_a_films_sound_in_a_wav_is_found(tmp_path: Path, swapped: bool) -> None:
    """As players and discs leave it: decoded as samples it would be noise, and paid for."""
    raw = encode(tmp_path / "a.ac3", "ac3", rate=48_000, bit_rate=192_000, container="ac3")
    sound = array.array("H", raw.read_bytes())
    if swapped:
        sound.byteswap()
    path = os.fspath(plain(tmp_path / "a.wav", sound.tobytes()))
    assert told_kind(path) is None
    assert probe(path).codec == "ac3"


@pytest.mark.parametrize("start", [b"", DTS + bytes(2_008)])
def test_a_mark_of_dts_is_left_to_ffmpeg(tmp_path: Path, start: bytes) -> None:
    path = plain(tmp_path / "a.wav", start + b"\x11\x22" * 9_000)
    assert told_kind(os.fspath(path)) == (None if start else "wav")


@pytest.mark.parametrize("bytes_", [b"", b"RIFF", b"ID3", b"\xff\xfb\x90", b"RIFF\0\0\0\0WAVEfmt "])
def test_a_beginning_alone_tells_nothing(tmp_path: Path, bytes_: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes_)
    assert told_kind(os.fspath(path)) is None
    assert told_kind(os.fspath(tmp_path / "missing")) is None
