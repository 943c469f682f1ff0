"""The transform around HTDemucs' graph and its inverse: those of its `_spec` and `_ispec`.

Frames of 4096 samples, a quarter apart, Hann, scaled by 1 / 64; one frame for each 1024 samples of
a segment, the highest bin left out. 5e-8 of torch's own.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import fft

from stemwatch.server.engines.spectral.stft import Array

SIZE, HOP = 4096, 1024
BINS = SIZE // 2  # without the highest
SCALE = np.float32(SIZE**-0.5)
SIDE = 3 * HOP // 2  # what a segment is mirrored by on each side
LEFT_OUT = 2  # frames on each side


def frames_of(samples: int) -> int:
    return -(-samples // HOP)


@cache
def hann() -> Array:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE) / SIZE)).astype(np.float32)


def forward(sound: Array, threads: int = 1) -> Array:
    """Of (2, samples): float32 (1, 4, 2048, frames), real and imaginary part of left, then right.

    Needs more samples than a mirrored side has.
    """
    channels, samples = sound.shape
    frames = frames_of(samples)
    padded = np.pad(sound, ((0, 0), (SIDE, SIDE + frames * HOP - samples)), mode="reflect")
    padded = np.pad(padded, ((0, 0), (SIZE // 2, SIZE // 2)), mode="reflect")
    cut = np.lib.stride_tricks.sliding_window_view(padded, SIZE, axis=1)[:, ::HOP]
    cut = cut[:, LEFT_OUT : LEFT_OUT + frames]
    out = np.empty((1, channels, 2, BINS, frames), np.float32)
    for channel in range(channels):
        spectrum = fft.rfft(cut[channel] * (hann() * SCALE), axis=1, workers=threads)
        out[0, channel, 0] = spectrum[:, :BINS].real.T
        out[0, channel, 1] = spectrum[:, :BINS].imag.T
    return out.reshape(1, 2 * channels, BINS, frames)


def inverse(spectrum: Array, samples: int, threads: int = 1) -> Array:
    """The sound of one channel's (2, 2048, frames), real and imaginary part: float32 (samples,)."""
    frames = spectrum.shape[2]
    bins = np.zeros((frames, BINS + 1), np.complex64)
    bins[:, :BINS].real = spectrum[0].T
    bins[:, :BINS].imag = spectrum[1].T
    cut = fft.irfft(bins, SIZE, axis=1, workers=threads) * (hann() / SCALE)
    overlap = SIZE // HOP
    summed = np.zeros((frames + 2 * LEFT_OUT + overlap - 1, HOP), np.float32)
    for part in range(overlap):
        first = LEFT_OUT + part
        summed[first : first + frames] += cut[:, part * HOP : (part + 1) * HOP]
    start = SIZE // 2 + SIDE
    return summed.reshape(-1)[start : start + samples] / _weight(frames, samples)


@cache
def _weight(frames: int, samples: int) -> Array:
    """What overlapping squared windows sum to, at each sample, the left out frames' included."""
    count = frames + 2 * LEFT_OUT
    total = np.zeros((count - 1) * HOP + SIZE)
    square = hann().astype(np.float64) ** 2
    for frame in range(count):
        total[frame * HOP : frame * HOP + SIZE] += square
    start = SIZE // 2 + SIDE
    weight: Array = total[start : start + samples].astype(np.float32)
    return weight
