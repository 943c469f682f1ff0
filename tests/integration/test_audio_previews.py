"""What the page draws and plays of a stem: peaks, pieces in Opus, and a mix by its faders."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from stemwatch.audio.codec import decode
from stemwatch.audio.meters.waveform import peaks
from stemwatch.audio.mix import mix
from stemwatch.audio.previews import RATE, preview
from tests.support.audio_samples import write

LEAD = 0.1


def ramp(seconds: float) -> np.ndarray:
    """Left grows from 0 to 0.5, right is silent."""
    left = np.linspace(0, 0.5, round(44_100 * seconds), dtype=np.float32)
    return np.stack([left, np.zeros_like(left)], axis=1)


def chirp(seconds: float) -> np.ndarray:
    """No two of its moments look alike."""
    time = np.arange(round(44_100 * seconds)) / 44_100
    wave = 0.4 * np.sin(2 * np.pi * (200 * time + 150 * time**2))
    return np.stack([wave, wave], axis=1).astype(np.float32)


def test_peaks_are_the_lowest_and_the_highest_of_each_column(tmp_path: Path) -> None:
    song = write(tmp_path / "ramp.wav", ramp(4.0))
    found = np.frombuffer(peaks(str(song), 100), np.int8).reshape(100, 2)
    assert np.abs(found[:, 1] - np.linspace(0.6, 63.5, 100)).max() < 2
    assert (found[:, 0] <= 0).all()


def test_a_song_shorter_than_its_columns_has_them_all(tmp_path: Path) -> None:
    song = write(tmp_path / "short.wav", ramp(0.01))
    assert len(peaks(str(song), 1000)) == 2000


def opus(piece: bytes) -> np.ndarray:
    """Decoded as a browser does: its lead-in left out by the container's own word."""
    with av.open(io.BytesIO(piece)) as container:
        rows = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return np.concatenate(rows)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_pieces_lie_where_they_belong(tmp_path: Path, format: str) -> None:
    """A piece from the middle is that part of the song, to a third of a millisecond."""
    song = write(tmp_path / f"chirp.{format}", chirp(9.0))
    whole = np.concatenate([block[:, 0] for block in decode(str(song), rate=RATE)])
    for start in (0.0, 4.0):
        lead = min(LEAD, start)
        piece = opus(preview(str(song), start, 2.0, LEAD))
        at = round(lead * RATE)
        wanted = whole[round(start * RATE) :][: 1 * RATE]
        lags = {
            lag: float(np.dot(piece[at + 48 + lag : at + 48 + lag + 40_000], wanted[48:40_048]))
            for lag in range(-48, 49)
        }
        assert abs(max(lags, key=lambda lag: lags[lag])) <= 16
        assert len(piece) >= at + 2 * RATE - 960


def test_past_the_end_is_nothing(tmp_path: Path) -> None:
    song = write(tmp_path / "short.wav", chirp(1.0))
    assert preview(str(song), 8.0, 2.0, LEAD) == b""


def test_a_mix_follows_the_faders(tmp_path: Path) -> None:
    """Half of one and twice the other, summed."""
    one, two = write(tmp_path / "1.wav", chirp(1.0)), write(tmp_path / "2.wav", ramp(1.0))
    mix([str(one), str(two)], str(tmp_path / "out.wav"), "wav", [0.5, 1.5])
    found = np.concatenate(list(decode(str(tmp_path / "out.wav"))))
    assert np.abs(found - (chirp(1.0) * 0.5 + ramp(1.0) * 1.5)).max() < 4 / 32768
