"""The cues say what they claim to, the network's masks are shares, and weights must fit."""

from __future__ import annotations

import numpy as np
import pytest

from stemwatch.job import STEMS
from stemwatch.server.engines.spectral.bands import HZ, RATE
from stemwatch.server.engines.spectral.cues import NAMES, Cues, listen
from stemwatch.server.engines.spectral.hands import Hands
from stemwatch.server.engines.spectral.masks import GROUPS, residual_stem, stem_masks
from stemwatch.server.engines.spectral.network import SOURCES, Network, shipped
from stemwatch.server.made_song import make_song

SECONDS = 3


def cue(cues: Cues, name: str, lowest: float = 300, highest: float = 3000) -> float:
    """The power-weighted mean of a cue between two frequencies."""
    rows = (lowest < HZ) & (highest > HZ)
    power = cues.power[:, rows]
    return float((cues.values[NAMES.index(name)][:, rows] * power).sum() / power.sum())


def tone(left: float, right: float) -> Cues:
    time = np.arange(SECONDS * RATE) / RATE
    wave = sum(np.sin(2 * np.pi * hz * time) for hz in (440, 880, 1320))
    return listen((0.2 * wave[:, None] * [left, right]).astype(np.float32))


def clicks() -> Cues:
    sound = np.zeros((SECONDS * RATE, 2), np.float32)
    noise = np.random.default_rng(0).normal(size=(300, 1))
    for start in range(RATE // 4, len(sound) - 300, RATE // 4):
        sound[start : start + 300] = noise
    return listen(sound)


@pytest.mark.parametrize("name", ["click", "click_long", "click_short", "frame_click"])
def test_clicks_are_percussive_and_tones_are_not(name: str) -> None:
    """Every percussiveness cue tells a click from a steady tone."""
    assert cue(clicks(), name) > 0.5
    assert cue(tone(1, 1), name) < 0.25


def test_stereo_cues_tell_centre_side_and_opposite() -> None:
    """Centred is 1 in the middle, 0 at one side, -1 in opposite phase; panned is 0, 1, 0."""
    middle, side, opposite = tone(1, 1), tone(1, 0), tone(1, -1)
    assert [round(cue(c, "centred"), 2) for c in (middle, side, opposite)] == [1, 0, -1]
    assert [round(cue(c, "panned"), 2) for c in (middle, side, opposite)] == [0, 1, 0]


def test_what_comes_again_is_repeating_and_what_does_not_is_not() -> None:
    """The repetition cue keeps a loop's magnitude and little of a sound that comes once."""
    rng = np.random.default_rng(2)
    beat = rng.normal(size=(RATE, 2)) * np.hanning(RATE)[:, None] * 0.1
    loop = np.tile(beat, (14, 1))
    once = np.zeros_like(loop)
    time = np.arange(RATE) / RATE
    once[4 * RATE : 5 * RATE] = 0.5 * np.sin(2 * np.pi * 1000 * time)[:, None]
    cues = listen((loop + once).astype(np.float32))
    near = np.abs(HZ - 1000) < 15
    frame = int(4.5 * RATE / 1024)
    assert cues.repeating[frame, near].max() < 0.3
    assert np.median(cues.repeating) > 0.6


@pytest.mark.parametrize("stems", [2, 4, 6])
def test_masks_are_shares_in_the_documented_order(stems: int) -> None:
    """Masks lie in 0..1, one for each stem of the API but the residual, which gets the rest."""
    mix, _ = make_song(seconds=4)
    masks = stem_masks(listen(mix), shipped(), stems)
    assert len(masks) + 1 == len(STEMS[stems]) == len(GROUPS[stems])
    assert masks.min() >= 0
    assert masks.sum(0).max() < 1 + 1e-4


def test_several_threads_make_the_same_masks() -> None:
    """Whoever does which part of it."""
    mix, _ = make_song(seconds=4)
    alone = stem_masks(listen(mix), shipped(), 4)
    with Hands(3) as hands:
        together = stem_masks(listen(mix, hands), shipped(), 4, hands)
    assert np.allclose(alone, together, rtol=1e-3, atol=1e-6)


def test_groups_hold_every_source_once() -> None:
    """No source is lost or heard twice, whatever the number of stems."""
    for stems, groups in GROUPS.items():
        assert sorted(sum(groups, ())) == sorted(SOURCES)
        assert STEMS[stems][residual_stem(stems)] in {"instrumental", "other"}


def test_weights_of_other_cues_are_refused() -> None:
    """Weights that were trained for another set of cues raise instead of judging nonsense."""
    weights = {
        "mean": np.zeros(25), "scale": np.ones(25),
        "w1": np.zeros((32, 25)), "b1": np.zeros(32),
        "w2": np.zeros((32, 32)), "b2": np.zeros(32),
        "w3": np.zeros((6, 32)), "b3": np.zeros(6),
    }  # fmt: skip
    with pytest.raises(ValueError, match="other cues"):
        Network(weights)
