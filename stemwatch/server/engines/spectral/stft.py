"""Short-time Fourier transform with sqrt-Hann windows, and its inverse."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Array = NDArray[Any]


@cache
def window(size: int) -> Array:
    """Periodic sqrt-Hann, float32: applied twice (there and back) it overlaps to a constant."""
    return np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def stft(sound: Array, size: int, hop: int) -> Array:
    """Spectrum of `sound` (samples, channels): complex64 (channels, size // 2 + 1, frames).

    The first frame ends `hop` samples into the sound, so that every sample is covered by
    `size / hop` frames; `frame_at` tells where a frame is. Needs `hop` to divide `size`.
    """
    length, channels = sound.shape
    frames = -(-length // hop) + size // hop
    padded = np.zeros(((frames - 1) * hop + size, channels), np.float32)
    padded[size - hop : size - hop + length] = sound
    out = np.empty((channels, size // 2 + 1, frames), np.complex64)
    for channel in range(channels):
        samples = np.ascontiguousarray(padded[:, channel])
        cut = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
        out[channel] = fft.rfft(cut * window(size), axis=1).T
    return out


def istft(spectrum: Array, length: int, size: int, hop: int) -> Array:
    """The sound of a spectrum from `stft`: float32 (length, channels)."""
    channels, _, frames = spectrum.shape
    overlap = size // hop
    scaled = window(size) * np.float32(2 / overlap)
    out = np.empty((length, channels), np.float32)
    for channel in range(channels):
        cut = fft.irfft(np.ascontiguousarray(spectrum[channel].T), size, axis=1) * scaled
        summed = np.zeros((frames + overlap - 1, hop), np.float32)
        for part in range(overlap):
            summed[part : part + frames] += cut[:, part * hop : (part + 1) * hop]
        out[:, channel] = summed.reshape(-1)[size - hop : size - hop + length]
    return out


def frame_centres(frames: int, size: int, hop: int) -> Array:
    """The sample in the middle of each of `stft`'s frames."""
    return np.arange(frames) * hop - (size - hop) + size / 2


def frame_at(samples: Array, size: int, hop: int) -> Array:
    """The fractional frame number whose middle is at each of `samples`; undoes `frame_centres`."""
    return (samples + (size - hop) - size / 2) / hop
