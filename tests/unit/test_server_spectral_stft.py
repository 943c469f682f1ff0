"""The transform, the bands and the running median: arithmetic that everything else rests on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import median_filter

from stemwatch.server.engines.spectral import bands
from stemwatch.server.engines.spectral.percussive import running_median
from stemwatch.server.engines.spectral.stft import frame_at, frame_centres, istft, powers, stft


@pytest.mark.parametrize("length", [1, 500, 4096, 44_100])
@pytest.mark.parametrize(("size", "hop"), [(4096, 1024), (1024, 512)])
def test_inverse_gives_the_sound_back(length: int, size: int, hop: int) -> None:
    """Transform and inverse return every sample, the first and the last included."""
    sound = np.random.default_rng(0).normal(size=(length, 2)).astype(np.float32)
    back = istft(stft(sound, size, hop), length, size, hop)
    assert np.abs(back - sound).max() < 1e-5


def test_a_click_is_in_the_frame_that_its_sample_maps_to() -> None:
    """`frame_at` points to the frame whose window is centred on a sample."""
    sound = np.zeros((30_000, 1), np.float32)
    sound[12_345] = 1
    power = (np.abs(stft(sound, 1024, 512)[0]) ** 2).sum(1)
    assert np.allclose(powers(sound, 1024, 512).sum(1), power, rtol=1e-4)
    assert power.argmax() == round(float(frame_at(np.array(12_345), 1024, 512)))


def test_frame_at_undoes_frame_centres() -> None:
    """The two maps between frames and samples agree."""
    assert np.array_equal(frame_at(frame_centres(50, 4096, 1024), 4096, 1024), np.arange(50))


def test_bands_cover_every_bin_once() -> None:
    """897 bands hold the 2049 bins, and a mask of bands reaches each bin."""
    ones = np.ones((2, bands.BINS), np.float32)
    assert bands.COUNT == 897
    assert np.array_equal(bands.to_bands(ones)[0], bands.WIDTHS)
    assert bands.to_bins(np.ones((2, bands.COUNT))).shape == (2, bands.BINS)


@pytest.mark.parametrize("width", [3, 17, 31])
def test_running_median_equals_scipys_row_by_row(width: int) -> None:
    """One long row with room between gives what a call for each row gives."""
    values = np.random.default_rng(1).normal(size=(7, 40)).astype(np.float32)
    expected = np.stack([median_filter(row, size=width, mode="nearest") for row in values])
    assert np.array_equal(running_median(values, width), expected)
