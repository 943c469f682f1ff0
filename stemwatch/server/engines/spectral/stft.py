"""Short-time Fourier transform with sqrt-Hann windows, and its inverse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Array = NDArray[Any]

CACHED = 1 << 17  # samples


@cache
def window(size: int) -> Array:
    """Periodic sqrt-Hann, float32: applied twice (there and back) it overlaps to a constant."""
    return np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def stft(sound: Array, size: int, hop: int) -> Array:
    """Spectrum of `sound` (samples, channels): complex64 (channels, frames, size // 2 + 1).

    The first frame ends `hop` samples into the sound, so that every sample is covered by
    `size / hop` frames; `frame_at` tells where a frame is. Needs `hop` to divide `size`.
    """
    cut = _frames(sound, size, hop)
    out = np.empty((*cut.shape[:2], size // 2 + 1), np.complex64)
    for frames in _parts(cut.shape[1], size):
        out[:, frames] = fft.rfft(cut[:, frames] * window(size), axis=2)
    return out


def frames_of(length: int, size: int, hop: int) -> int:
    """How many frames `stft` makes of so many samples."""
    return -(-length // hop) + size // hop


def powers(sound: Array, size: int, hop: int) -> Array:
    """The power of `stft`, its channels summed: float32 (frames, size // 2 + 1)."""
    cut = _frames(sound, size, hop)
    out = np.empty((cut.shape[1], size // 2 + 1), np.float32)
    for frames in _parts(len(out), size):
        spectrum = fft.rfft(cut[:, frames] * window(size), axis=2)
        parts = spectrum.view(np.float32)
        parts *= parts
        both = parts.sum(0) if len(parts) > 1 else parts[0]
        np.add(both[:, 0::2], both[:, 1::2], out=out[frames])
    return out


def istft(
    spectrum: Array, length: int, size: int, hop: int, gains: Callable[[slice], Array] | None = None
) -> Array:
    """The sound of a spectrum from `stft`: float32 (length, channels).

    `gains` gives what some of the frames are multiplied by first, (frames, bins): a product of all
    of them at once would be as large as the spectrum.
    """
    channels, count, _ = spectrum.shape
    overlap = size // hop
    scaled = window(size) * np.float32(2 / overlap)
    summed = np.zeros((channels, count + overlap - 1, hop), np.float32)
    for frames in _parts(count, size):
        part_of = spectrum[:, frames] if gains is None else spectrum[:, frames] * gains(frames)
        cut = fft.irfft(part_of, size, axis=2)
        cut *= scaled
        for part in range(overlap):
            at = slice(frames.start + part, frames.start + part + cut.shape[1])
            summed[:, at] += cut[:, :, part * hop : (part + 1) * hop]
    sound = summed.reshape(channels, -1)[:, size - hop : size - hop + length]
    return np.ascontiguousarray(sound.T)


def _frames(sound: Array, size: int, hop: int) -> Array:
    """Of each channel, as views: (channels, frames, size)."""
    length, channels = sound.shape
    count = frames_of(length, size, hop)
    padded = np.zeros((channels, (count - 1) * hop + size), np.float32)
    padded[:, size - hop : size - hop + length] = sound.T
    return np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::hop]


def _parts(count: int, size: int) -> Iterator[slice]:
    """So many frames at once as stay in a core's cache."""
    step = max(1, CACHED // size)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def frame_centres(frames: int, size: int, hop: int) -> Array:
    """The sample in the middle of each of `stft`'s frames."""
    return np.arange(frames) * hop - (size - hop) + size / 2


def frame_at(samples: Array, size: int, hop: int) -> Array:
    """The fractional frame number whose middle is at each of `samples`; undoes `frame_centres`."""
    return (samples + (size - hop) - size / 2) / hop
