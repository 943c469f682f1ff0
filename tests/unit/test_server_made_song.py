"""The made song is what it says it is."""

from __future__ import annotations

import numpy as np
import pytest

from stemwatch.server.made_song import make_song


@pytest.mark.parametrize("seconds", [0.001, 1, 7.3])
def test_length_sum_and_level(seconds: float) -> None:
    """The mix has the asked length to the sample, is the sum of its stems, and peaks below 1."""
    mix, stems = make_song(seconds=seconds)
    assert mix.shape == (round(seconds * 44_100), 2)
    assert mix.dtype == np.float32
    assert np.abs(np.sum(list(stems.values()), axis=0) - mix).max() < 1e-6
    assert np.abs(mix).max() == pytest.approx(0.9, abs=1e-3)


def test_the_same_seed_gives_the_same_song() -> None:
    """Songs are decided by their seed, so that hashes and deliveries can be compared."""
    first, again, other = (make_song(seconds=6, seed=seed)[0] for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_lead_is_in_the_middle_and_the_guitar_is_not() -> None:
    """The stereo picture that separation relies on is there."""
    _, stems = make_song(seconds=6)
    assert np.array_equal(stems["vocals"][:, 0], stems["vocals"][:, 1])
    left, right = (stems["guitar"] ** 2).sum(0)
    assert left > 4 * right


def test_an_unknown_key_is_refused() -> None:
    """A key that is no note raises."""
    with pytest.raises(ValueError):
        make_song(key="H minor")
