"""Stems in 16 bits sum to the mix in 16 bits, whatever they are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stemwatch.server.engines.spectral.headroom import exact_stems, to_pcm

SAMPLES = st.floats(-4, 4, width=32)


@settings(max_examples=150)
@given(data=st.data(), stems=st.integers(2, 6))
def test_stems_sum_to_the_mix_and_stay_in_range(data: st.DataObject, stems: int) -> None:
    """Any mix, any stems, up to 12 dB above full scale: the sum is exact in every sample."""
    mix = data.draw(arrays(np.float32, (8, 2), elements=SAMPLES))
    parts = data.draw(arrays(np.float32, (stems, 8, 2), elements=SAMPLES))
    residual = data.draw(st.integers(0, stems - 1))
    made = exact_stems(mix, parts, residual)
    assert made.dtype == np.int16
    assert np.array_equal(made.sum(0, dtype=np.int64), to_pcm(mix))


def test_a_stem_within_range_is_only_rounded() -> None:
    """Where nothing is hot, stems are what was separated, and the residual is what is left."""
    mix = np.full((4, 2), 0.5, np.float32)
    parts = np.stack([np.full((4, 2), 0.7), np.full((4, 2), 9.0), np.full((4, 2), -0.1)])
    made = exact_stems(mix, parts.astype(np.float32), 1)
    assert (made[0] == round(0.7 * 32_768)).all()
    assert (made[2] == round(-0.1 * 32_768)).all()
    assert (made[1] == 16_384 - made[0] - made[2]).all()


def test_the_excess_of_a_hot_stem_goes_where_there_is_room() -> None:
    """A residual that would need 1.3 is held at full scale; the other stem takes the rest."""
    mix = np.full((1, 2), 0.9, np.float32)
    made = exact_stems(mix, np.full((2, 1, 2), -0.4, np.float32), 1)
    assert (made[1] == 32_767).all()
    assert (made[0] == to_pcm(mix) - 32_767).all()
