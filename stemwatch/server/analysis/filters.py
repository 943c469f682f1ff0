"""Windows, a low-pass and a running mean: what analysis needs of signal processing.

scipy.signal has them all, and 50 MB of what it imports for the rest.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from stemwatch.server.engines.spectral.stft import Array

_HANN = (0.5, 0.5)
_BLACKMAN_HARRIS = (0.35875, 0.48829, 0.14128, 0.01168)


def hann(size: int) -> Array:
    """Periodic, float32."""
    return _cosines(_HANN, size)


def blackman_harris(size: int) -> Array:
    """Periodic, float32."""
    return _cosines(_BLACKMAN_HARRIS, size)


def low_pass(taps: int, cutoff: float, rate: float) -> Array:
    """A windowed sinc of unit gain at 0 Hz, -6 dB at `cutoff` Hz; `taps` is odd. float32."""
    from_middle = np.arange(taps) - taps // 2
    share = 2 * cutoff / rate
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(taps) / (taps - 1))
    sinc = share * np.sinc(share * from_middle) * hamming
    scaled: Array = (sinc / sinc.sum()).astype(np.float32)
    return scaled


def halved(sound: Array, taps: Array) -> Array:
    """Every second sample of `sound` through the filter, where the filter lies within it."""
    # Even samples meet even taps and odd ones odd: none is made that is not kept
    even = np.convolve(sound[::2], taps[::2], mode="valid")
    odd = np.convolve(sound[1::2], taps[1::2], mode="valid")
    count = (len(sound) - len(taps)) // 2 + 1
    return np.ascontiguousarray(even[:count] + odd[:count], np.float32)


def running_mean(values: Array, width: int) -> Array:
    """Mean of `width` (odd) neighbours; what lies beyond the ends counts as zero."""
    mean: Array = uniform_filter1d(values, width, mode="constant")
    return mean


def _cosines(weights: tuple[float, ...], size: int) -> Array:
    angle = 2 * np.pi * np.arange(size) / size
    signs = (1, -1) * len(weights)
    summed = sum(
        sign * weight * np.cos(number * angle)
        for number, (sign, weight) in enumerate(zip(signs, weights, strict=False))
    )
    return np.asarray(summed, np.float32)
