"""What is uploaded of a song: a FLAC of the very samples, or of what a lossy one decodes to."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from stemwatch.audio.codec import Encoder
from stemwatch.audio.frames import Source
from stemwatch.audio.preparing.exact_flac import prepare
from stemwatch.audio.probe import probe
from stemwatch.errors import Reject
from tests.support.broken import ROOT
from tests.support.encoded import (
    SECONDS,
    clicks,
    decoded_as_is,
    encode,
    lag,
    packets,
    sound_stream,
)


@pytest.mark.parametrize(
    ("name", "codec", "container", "format"),
    [
        ("a.wav", "pcm_s16le", None, None),
        ("a.wav", "pcm_s24le", None, None),
        ("a.aiff", "pcm_s24be", None, None),
        ("a.caf", "pcm_s24le", None, None),
        ("a.w64", "pcm_s16le", None, None),
        ("a.au", "pcm_s16be", None, None),
        ("a.m4a", "alac", None, "s32p"),
        ("a.wv", "wavpack", None, "s32p"),
        ("a.tta", "tta", None, "s32"),
        ("a.mka", "flac", "matroska", "s32"),
        ("a.mov", "pcm_s16le", None, None),
        ("a.wav", "pcm_f32le", None, None),  # each of these floats is a 24-bit number
        ("a.wav", "pcm_s32le", None, None),
    ],
)
def test_a_lossless_song_is_sent_sample_for_sample(
    tmp_path: Path, name: str, codec: str, container: str | None, format: str | None
) -> None:
    """In 16 or 24 bits, whatever it was packed in."""
    song, flac = tmp_path / name, tmp_path / "made.flac"
    written = encode(song, codec, container, format=format)
    made = prepare(str(song), str(flac))
    found = decoded_as_is(flac)
    assert made.exact
    assert made.bytes == flac.stat().st_size
    assert (made.sample_rate, made.channels, made.duration_seconds) == (48_000, 2, SECONDS)
    if found.dtype == np.int32:
        assert np.array_equal(found, written)
    else:
        assert np.array_equal(found, decoded_as_is(song))
        assert found.dtype == np.int16


@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_s32le", "pcm_f64le"])
def test_what_no_flac_holds_is_not_called_exact(tmp_path: Path, codec: str) -> None:
    song, flac = tmp_path / "a.wav", tmp_path / "made.flac"
    finer = clicks(48_000, 2) | 1  # the 32nd bit
    finer[:4800] <<= 6  # and below 24 bits of a float as well
    with av.open(song, "w") as file:
        stream = sound_stream(file, codec, 48_000, "stereo")
        for packet in packets(stream, finer >> 6):
            file.mux(packet)
    assert not prepare(str(song), str(flac)).exact
    assert decoded_as_is(flac).shape == (48_000 * SECONDS, 2)


@pytest.mark.parametrize(
    ("name", "codec", "container", "rate"),
    [
        ("a.mp3", "libmp3lame", None, 44_100),
        ("a.m4a", "aac", None, 44_100),
        ("a.mp4", "aac", None, 48_000),
        ("a.mov", "aac", None, 48_000),
        ("a.opus", "libopus", None, 48_000),
        ("a.webm", "libopus", None, 48_000),
    ],
)
def test_stems_of_a_lossy_song_lie_on_it_to_the_sample(
    tmp_path: Path, name: str, codec: str, container: str | None, rate: int
) -> None:
    """The encoder's delay is left out, and its padding too: neither is part of the song."""
    song, flac = tmp_path / name, tmp_path / "made.flac"
    written = encode(song, codec, container, rate=rate)
    made = prepare(str(song), str(flac))
    found = decoded_as_is(flac)
    assert not made.exact
    assert len(found) == rate * SECONDS
    assert lag(found, written) == 0


def test_a_film_gives_the_track_that_players_begin_with(tmp_path: Path) -> None:
    """Behind a commentary, and shorter than its pictures."""
    film, flac = tmp_path / "a.mkv", tmp_path / "made.flac"
    with av.open(film, "w") as file:
        pictures = file.add_stream("mpeg4", rate=25)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuv420p"
        comment = sound_stream(file, "flac", 48_000, "mono", "s16")
        comment.disposition = 0
        sound = sound_stream(file, "flac", 48_000, "stereo", "s16")
        sound.disposition = av.stream.Disposition.default
        made = [*packets(comment, clicks(48_000, 1)), *packets(sound, clicks(48_000, 2))]
        for number in range(25 * SECONDS):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            picture.pts = number
            made += pictures.encode(picture)
        made += pictures.encode(None)
        for packet in sorted(made, key=lambda one: one.dts * one.time_base):
            file.mux(packet)
    assert probe(str(film)).channels == 2
    prepared = prepare(str(film), str(flac))
    assert prepared.exact
    assert (prepared.channels, prepared.duration_seconds) == (2, SECONDS)


@pytest.mark.parametrize("layout", ["mono", "2.1", "3.0", "4.0", "quad", "5.0", "5.1", "7.1"])
def test_all_channels_are_sent(tmp_path: Path, layout: str) -> None:
    """And each is told as what it was: the third of a 2.1 is a bass, and no centre."""
    song, flac = tmp_path / "a.wav", tmp_path / "made.flac"
    written = encode(song, "pcm_s24le", layout=layout)
    assert prepare(str(song), str(flac)).exact
    assert np.array_equal(decoded_as_is(flac), written)
    with Source(str(song)) as source, Source(str(flac)) as made:
        assert made.stream.layout.name == source.stream.layout.name == layout


def test_more_channels_than_a_flac_holds_are_refused(tmp_path: Path) -> None:
    song = tmp_path / "a.wav"
    with wave.open(str(song), "wb") as file:
        file.setparams((10, 2, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(10 * 2 * 8_000))
    with pytest.raises(Reject, match="10 channels") as fault:
        prepare(str(song), str(tmp_path / "made.flac"))
    assert fault.value.code == "unsupported"
    assert not (tmp_path / "made.flac").exists()


def test_a_cut_caf_is_told(tmp_path: Path) -> None:
    """FFmpeg plays what there is without a word."""
    song = tmp_path / "a.caf"
    encode(song, "pcm_s16le")
    data = song.read_bytes()
    song.write_bytes(data[: len(data) * 7 // 10])
    with pytest.raises(Reject, match="30 % of it is missing"):
        probe(str(song))


_GROWTH = """
import sys
from stemwatch.audio.preparing.exact_flac import prepare
from tests.benchmarks.looking import peak
short, long, out = sys.argv[1:]
prepare(short, out)
before = peak()
prepare(long, out)
print(peak() - before)
"""


@pytest.mark.parametrize("format", ["wav", "mp3"])
def test_memory_does_not_grow_with_the_length(tmp_path: Path, format: str) -> None:
    """Twenty times the length, 25 MB of samples, takes no more."""
    sound = np.random.default_rng(1).normal(0, 0.1, (20 * 16_000, 1)).astype(np.float32)
    short, long = os.fspath(tmp_path / f"short.{format}"), os.fspath(tmp_path / f"long.{format}")
    for path, times in ((short, 1), (long, 20)):
        with Encoder(path, format, rate=16_000, channels=1) as encoder:
            for _ in range(times):
                encoder.write(sound)
    asked = [sys.executable, "-c", _GROWTH, short, long, os.fspath(tmp_path / "out.flac")]
    assert float(subprocess.check_output(asked, cwd=ROOT)) < 4.0  # MB
