"""Tempo and key of made songs, and silence about what can't be heard."""

from __future__ import annotations

import numpy as np
import pytest

from stemwatch.server.analysis import Analyser, Analysis
from stemwatch.server.analysis.downmix import Downmix
from stemwatch.server.analysis.key import NOTES, PROFILES, find_key
from stemwatch.server.engines.spectral.stft import Array
from stemwatch.server.made_song import make_song

RATE = 44_100
NOTHING = Analysis(None, None, None, None)


def analyse(sound: Array, block: int = 65_536) -> Analysis:
    analyser = Analyser()
    for start in range(0, len(sound), block):
        analyser.add(sound[start : start + block].astype(np.float32))
    return analyser.result()


@pytest.mark.parametrize(
    ("bpm", "key"),
    [(80, "C major"), (88.5, "G# minor"), (112, "A minor"), (128, "F# minor"), (140, "D# major")],
)
def test_tempo_and_key_of_made_songs(bpm: float, key: str) -> None:
    """Tempo within 1 % and the key, from 10 seconds."""
    mix, _ = make_song(seconds=10, bpm=bpm, key=key, seed=3)
    heard = analyse(mix)
    assert heard.bpm == pytest.approx(bpm, rel=0.01)
    assert heard.key == key
    assert heard.bpm_confidence is not None
    assert heard.key_confidence is not None
    assert 0.2 < heard.bpm_confidence <= 1
    assert 0.2 < heard.key_confidence <= 1


def test_a_song_tuned_33_cents_sharp_keeps_its_key() -> None:
    """The tuning is found from the song, not taken to be 440 Hz."""
    mix, _ = make_song(seconds=12, key="F major", bpm=110)
    at = np.arange(0, len(mix) - 1, 2 ** (0.33 / 12))
    sharp = np.stack([np.interp(at, np.arange(len(mix)), mix[:, c]) for c in (0, 1)], 1)
    assert analyse(sharp).key == "F major"


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros((0, 2)),
        np.zeros((1, 2)),
        np.zeros((10 * RATE, 2)),
        np.random.default_rng(0).normal(size=(12 * RATE, 2)) * 0.1,
        np.full((10 * RATE, 2), np.nan),
    ],
    ids=["empty", "one sample", "silence", "noise", "NaN"],
)
def test_what_has_no_tempo_and_no_key_gets_none(sound: Array) -> None:
    """Silence, noise and nothing are not given a made-up tempo or key."""
    assert analyse(sound) == NOTHING


def test_a_steady_tone_and_a_snippet_have_no_tempo() -> None:
    """Where nothing begins, or too little is heard, the tempo is None."""
    tone = np.sin(np.arange(10 * RATE) * 0.06)[:, None] * [0.3, 0.3]
    assert analyse(tone).bpm is None
    assert analyse(make_song(seconds=3.9)[0]) == NOTHING


@pytest.mark.parametrize("gains", [(1, 0), (1, -1), (0.02, 0.02)], ids=["left", "anti", "-34 dB"])
def test_one_sided_opposite_and_quiet_songs_are_heard(gains: tuple[float, float]) -> None:
    """Neither a silent side, nor sides that cancel, nor a low level hide tempo and key."""
    mix, _ = make_song(seconds=12, bpm=120, key="E minor")
    heard = analyse(mix[:, :1] * gains)
    assert heard.bpm == pytest.approx(120, rel=0.01)
    assert heard.key == "E minor"


def test_blocks_of_any_size_are_heard_alike() -> None:
    """The result does not depend on how the decoder cuts the song."""
    mix, _ = make_song(seconds=10)
    small, large = analyse(mix, 777), analyse(mix, len(mix))
    assert small.bpm == pytest.approx(large.bpm, abs=0.02)
    assert small.key == large.key


def test_downmix_halves_the_rate_and_keeps_no_alias() -> None:
    """A tone at 1 kHz stays, one at 15 kHz (which would alias to 7) goes."""
    time = np.arange(RATE) / RATE
    for hz, expected in ((1000, 1.0), (15_000, 0.0)):
        downmix = Downmix()
        wave = np.repeat(np.sin(2 * np.pi * hz * time)[:, None], 2, 1).astype(np.float32)
        parts = [downmix.add(part) for part in np.array_split(wave, 9)]
        mono = np.concatenate([*parts, downmix.rest()])
        assert abs(len(mono) - RATE // 2) <= 1
        assert np.sqrt(2 * (mono[100:-100] ** 2).mean()) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("mode", PROFILES)
def test_every_key_is_found_from_its_own_profile(mode: str) -> None:
    """All 24 keys can be said."""
    for tonic, note in enumerate(NOTES):
        found = find_key(np.roll(np.array(PROFILES[mode]), tonic))
        assert found is not None
        assert found[0] == f"{note} {mode}"
