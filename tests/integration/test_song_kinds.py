"""Each name in the table is one that this FFmpeg reads: a song of it is made, probed, prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwatch.audio.preparing.exact_flac import prepare
from stemwatch.audio.probe import probe
from stemwatch.song_kinds import PREPARED, TAKEN
from tests.support.encoded import SECONDS, encode

# suffix -> codec, container where the suffix tells FFmpeg none
MADE: dict[str, tuple[str, str | None]] = {
    "mp3": ("libmp3lame", None),
    "wav": ("pcm_s24le", None),
    "flac": ("flac", None),
    "m4a": ("aac", None),
    "ogg": ("libopus", None),
    "webm": ("libopus", None),
    "aif": ("pcm_s16be", "aiff"),
    "aiff": ("pcm_s24be", None),
    "aifc": ("pcm_s16be", "aiff"),
    "caf": ("alac", None),
    "w64": ("pcm_s16le", None),
    "rf64": ("pcm_s16le", "wav"),
    "au": ("pcm_s16be", None),
    "wv": ("wavpack", None),
    "tta": ("tta", None),
    "opus": ("libopus", None),
    "oga": ("flac", "oga"),
    "aac": ("aac", "adts"),
    "m4b": ("aac", "ipod"),
    "wma": ("wmav2", "asf"),
    "ac3": ("ac3", None),
    "eac3": ("eac3", None),
    "mp2": ("mp2", None),
    "mka": ("libopus", "matroska"),
    "mp4": ("aac", None),
    "m4v": ("aac", "mp4"),
    "mov": ("pcm_s16le", None),
    "mkv": ("ac3", None),
    "3gp": ("aac", None),
}
AMR_FRAME = b"\x3c" + bytes(31)  # 20 ms at 12.2 kbit/s; PyAV 19 has no encoder of it
UNTRIED = {"ape", "dts"}  # PyAV's FFmpeg has no encoder of these


def test_each_name_is_tried_or_said_not_to_be() -> None:
    assert {*MADE, "amr"} | UNTRIED == set(TAKEN) | set(PREPARED)
    assert not set(MADE) & UNTRIED


@pytest.mark.parametrize("suffix", [*MADE, "amr"])
def test_a_song_of_this_name_is_read_and_prepared(tmp_path: Path, suffix: str) -> None:
    """Of its whole length, up to what an encoder adds."""
    song = tmp_path / f"song.{suffix}"
    rate, channels = (8_000, 1) if suffix == "amr" else (48_000, 2)
    if suffix == "amr":
        song.write_bytes(b"#!AMR\n" + AMR_FRAME * round(SECONDS * 50))
    else:
        encode(song, *MADE[suffix], rate=rate, layout="stereo")
    seen = probe(str(song))
    made = prepare(str(song), str(tmp_path / "made.flac"))
    assert seen.duration == pytest.approx(SECONDS, abs=0.1)
    assert made.duration_seconds == pytest.approx(SECONDS, abs=0.06)
    assert (made.sample_rate, made.channels) == (rate, channels)
