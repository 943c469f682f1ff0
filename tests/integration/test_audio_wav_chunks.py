"""WAVs that every program reads: LIST INFO beside ID3, even chunks, a plain header, padding."""

from __future__ import annotations

import os
import struct
import wave
from pathlib import Path

import mutagen.wave
import numpy as np
import pytest

from stemwatch.audio.codec import Encoder
from stemwatch.audio.containers.wav_chunks import write_info
from stemwatch.audio.results import StemTag
from stemwatch.audio.stemtags import write_tags
from stemwatch.audio.tagging.song_tags import Cover, SourceTags
from tests.support.audio_samples import decoded, tone, write

SONG = SourceTags(
    {"title": ("Söng",), "artist": ("Some", "Body"), "album": ("Odd",), "comment": ("abc",)},
    Cover(b"\x89PNG odd", "image/png"),
)
OWN = StemTag("Söng (Vocals)", "Vocals", 1)


def chunks(path: Path) -> dict[bytes, bytes]:
    """By walking, with the padding that the rules ask for; every byte must belong to one."""
    data = path.read_bytes()
    assert (data[:4], data[8:12]) == (b"RIFF", b"WAVE")
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    found, at = {}, 12
    while at < len(data):
        mark, size = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        assert mark not in found or mark == b"JUNK", "twice"
        found[mark] = found.get(mark, b"") + data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    assert at == len(data)
    return found


def info(listed: bytes) -> dict[bytes, str]:
    assert listed[:4] == b"INFO"
    found, at = {}, 4
    while at < len(listed):
        mark, size = listed[at : at + 4], struct.unpack("<I", listed[at + 4 : at + 8])[0]
        found[mark] = listed[at + 8 : at + 8 + size].rstrip(b"\0").decode()
        at += 8 + size + size % 2
    return found


def tagged(path: Path) -> None:
    assert write_tags(os.fspath(path), "wav", SONG, OWN, bpm=124.57, key="Am") is None


def test_list_info_says_the_same_beside_id3(tmp_path: Path) -> None:
    """Written twice, as a crash makes us: there is one of each still."""
    path = write(tmp_path / "stem.wav")
    before = decoded(path)
    tagged(path)
    tagged(path)
    found = chunks(path)
    assert info(found[b"LIST"]) == {
        b"INAM": "Söng (Vocals)",
        b"IART": "Some; Body",
        b"IPRD": "Odd (Stems)",
        b"ITRK": "1",
        b"ICMT": "abc",
        b"IBPM": "124.57",
    }
    assert mutagen.wave.WAVE(path).tags["TBPM"].text == ["124.57"]
    assert np.array_equal(decoded(path), before)


def test_a_list_info_from_elsewhere_is_replaced(tmp_path: Path) -> None:
    """Before the samples, where an encoder puts its name: two would contradict each other."""
    path = tmp_path / "stem.wav"
    plain = write(tmp_path / "plain.wav").read_bytes()
    theirs = b"LIST" + struct.pack("<I", 16) + b"INFOISFT" + struct.pack("<I", 4) + b"Lav\0"
    at = plain.index(b"data")
    head = b"RIFF" + struct.pack("<I", len(plain) + len(theirs) - 8) + plain[8:at]
    path.write_bytes(head + theirs + plain[at:])
    tagged(path)
    found = chunks(path)
    assert b"INAM" in found[b"LIST"]
    assert b"ISFT" in found[b"JUNK"]


def test_odd_samples_get_the_byte_that_they_lack(tmp_path: Path) -> None:
    """8-bit mono of an odd count without its padding: tags behind it were out of sight."""
    path = tmp_path / "stem.wav"
    samples = bytes(range(1, 252))
    shape = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    body = b"WAVEfmt " + struct.pack("<I", 16) + shape
    body += b"data" + struct.pack("<I", len(samples)) + samples
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    tagged(path)
    found = chunks(path)
    assert found[b"data"] == samples
    assert info(found[b"LIST"])[b"INAM"] == "Söng (Vocals)"
    assert mutagen.wave.WAVE(path).tags["TIT2"].text == ["Söng (Vocals)"]


@pytest.mark.parametrize(
    ("depth", "rate"), [(16, 44_100), (24, 44_100), (24, 96_000), (32, 48_000)]
)
def test_our_own_wavs_have_a_plain_header(tmp_path: Path, depth: int, rate: int) -> None:
    """Some players refuse WAVE_FORMAT_EXTENSIBLE, which FFmpeg writes above 16 bits or 48 kHz."""
    path, sound = tmp_path / "mix.wav", tone(1)
    with Encoder(os.fspath(path), "wav", rate=rate, depth=depth) as encoder:
        encoder.write(sound)
    found = chunks(path)
    form, channels, hz = struct.unpack("<HHI", found[b"fmt "][:8])
    assert (form, channels, hz, len(found[b"fmt "])) == (1, 2, rate, 16)
    with wave.open(os.fspath(path)) as opened:  # which refuses the extensible one before 3.12
        assert (opened.getnframes(), opened.getsampwidth() * 8) == (len(sound), depth)


def test_more_channels_than_two_keep_the_header_that_places_them(tmp_path: Path) -> None:
    path = tmp_path / "film.wav"
    with Encoder(os.fspath(path), "wav", channels=6, depth=24) as encoder:
        encoder.write(np.zeros((100, 6), np.float32))
    assert chunks(path)[b"fmt "][:2] == b"\xfe\xff"


def test_what_is_no_riff_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"RF64 and so on, for long songs")
    with path.open("r+b") as file:
        write_info(file, {"title": ("T",)})
    assert path.read_bytes() == b"RF64 and so on, for long songs"
