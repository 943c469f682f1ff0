"""Mixes keep levels, length, rate and depth."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from stemwatch.audio.arrays import native
from stemwatch.audio.codec import Encoder
from stemwatch.audio.frames import Source
from stemwatch.audio.mix import mix
from stemwatch.errors import Reject
from tests.support.audio_samples import decoded, tone, write


def stored(path: str) -> tuple[np.ndarray, int, str]:
    """Samples as stored (in double), the rate and the codec."""
    with Source(path) as source:
        samples = np.concatenate(list(native(source.frames())))
        return samples.astype(np.float64), source.sample_rate, source.codec


@pytest.mark.parametrize(
    ("format", "depth", "rate", "codec"),
    [
        ("wav", 16, 44_100, "pcm_s16le"),
        ("wav", 24, 48_000, "pcm_s24le"),
        ("wav", 32, 44_100, "pcm_s32le"),
        ("flac", 16, 44_100, "flac"),
        ("flac", 24, 96_000, "flac"),
    ],
)
def test_integer_stems_are_summed_exactly(
    tmp_path: Path, format: str, depth: int, rate: int, codec: str
) -> None:
    """Each sample of the mix is the sum of the stems' samples, at their own rate and depth."""
    inputs = []
    for seed in range(4):
        path = os.fspath(tmp_path / f"{seed}.{format}")
        with Encoder(path, format, rate=rate, depth=depth) as encoder:
            encoder.write(tone(2.1, rate=rate, seed=seed) * 0.4)
        inputs.append(path)
    out = os.fspath(tmp_path / f"mix.{format}")
    result = mix(inputs, out, format)
    total = sum(stored(path)[0] for path in inputs)
    mixed, mixed_rate, mixed_codec = stored(out)
    assert np.array_equal(mixed, total)
    assert (mixed_rate, mixed_codec, result.gain_db) == (rate, codec, 0.0)


def test_a_sum_that_would_clip_is_lowered_by_one_recorded_gain(tmp_path: Path) -> None:
    """All samples by the same factor, just below full scale."""
    inputs = [os.fspath(write(tmp_path / f"{seed}.wav", tone(seed=seed) * 2)) for seed in range(2)]
    out = tmp_path / "mix.wav"
    result = mix(inputs, os.fspath(out), "wav")
    total = sum(decoded(path) for path in inputs)
    assert result.peak == pytest.approx(np.abs(total).max())
    assert result.peak > 1
    factor = 10 ** (result.gain_db / 20)
    assert np.abs(decoded(out) - total * factor).max() <= 1 / 32768
    assert np.abs(decoded(out)).max() == pytest.approx(1.0, abs=1e-3)


def test_mp3_stems_mix_to_their_length(tmp_path: Path) -> None:
    """Lossy stems give a mix as long as they are, at their level."""
    inputs = [
        os.fspath(write(tmp_path / f"{seed}.mp3", tone(2, seed=seed) * 0.5)) for seed in range(2)
    ]
    out = tmp_path / "mix.mp3"
    assert mix(inputs, os.fspath(out), "mp3").gain_db == 0.0
    total = sum(decoded(path) for path in inputs)
    mixed = decoded(out)
    assert mixed.shape == total.shape
    assert np.std(mixed) == pytest.approx(np.std(total), rel=0.02)


def test_a_shorter_stem_ends_in_silence(tmp_path: Path) -> None:
    """The longest stem decides the length."""
    long, short = tone(3, seed=1), tone(1, seed=2)
    inputs = [
        os.fspath(write(tmp_path / "a.wav", short)),
        os.fspath(write(tmp_path / "b.wav", long)),
    ]
    mix(inputs, os.fspath(tmp_path / "mix.wav"), "wav")
    expected = decoded(inputs[1])
    expected[: len(short)] += decoded(inputs[0])
    assert np.abs(decoded(tmp_path / "mix.wav") - expected).max() < 1e-6


def test_stems_of_different_rates_are_refused(tmp_path: Path) -> None:
    """Resampling would change what was paid for."""
    with Encoder(os.fspath(tmp_path / "b.wav"), "wav", rate=48_000) as encoder:
        encoder.write(tone(1))
    inputs = [os.fspath(write(tmp_path / "a.wav")), os.fspath(tmp_path / "b.wav")]
    with pytest.raises(Reject, match=r"44100 Hz.*48000 Hz") as raised:
        mix(inputs, os.fspath(tmp_path / "mix.wav"), "wav")
    assert raised.value.code == "mix_mismatch"
    assert not (tmp_path / "mix.wav").exists()
