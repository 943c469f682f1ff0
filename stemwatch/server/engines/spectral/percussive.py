"""Percussiveness: is a cell part of a click (wide, short) or of a tone (narrow, long)?

Harmonic-percussive separation by medians (Fitzgerald 2010) at three window lengths: what is a tone
for a short window may be a click for a long one, and a voice is in between.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve1d, median_filter

from stemwatch.server.engines.spectral import bands
from stemwatch.server.engines.spectral.stft import Array, frame_at, frame_centres, powers

TINY = np.float32(1e-10)
LONG = 16_384
SHORT = 1024
SHORT_HOP = 512  # half of what is usual: the costliest cue, and no worse for it


def running_median(values: Array, width: int) -> Array:
    """Median of `width` (odd) neighbours along the last axis of a 2-D array; the ends are held.

    All rows as one long 1-D row, with room between them: scipy's 1-D median is 7 to 9 times as
    fast as its 2-D one, and a call for each row costs as much as the medians.
    """
    room = width // 2
    padded = np.pad(values, ((0, 0), (room, room)), mode="edge")
    medians = np.empty_like(padded)
    median_filter(padded.reshape(-1), size=width, output=medians.reshape(-1), mode="nearest")
    return medians[:, room : room + values.shape[1]]


def percussiveness(power: Array, frames: int, bins: int) -> Array:
    """0 (tone) to 1 (click) for each cell, by medians over `frames` in time and `bins` in pitch.

    Of (frames, bins) to (frames, bins). A magnitude's median, squared, is its power's.
    """
    tone = running_median(np.ascontiguousarray(power.T), frames).T
    click = running_median(power, bins)
    tone = np.add(tone, click, order="C")
    tone += TINY
    click /= tone
    return click


def of_bands(density: Array) -> Array:
    """On the bands themselves: medians over 0.4 s and 31 bands. (frames, 897) of power."""
    return percussiveness(density, _odd(0.4 * bands.RATE / bands.HOP), 31)


def of_long_window(sound: Array, frames: int) -> Array:
    """With a 372 ms window, brought to the grid's frames and lowest bands: (frames, 512).

    Above those bands it says nothing that the grid's own does not.
    """
    hop = LONG // 4
    highest = int(bands.SINGLE * LONG / bands.SIZE) + 12
    power = np.ascontiguousarray(powers(sound, LONG, hop)[:, :highest])
    share = percussiveness(power, _odd(0.8 * bands.RATE / hop), _odd(60 * LONG / bands.RATE))
    share *= power
    blur = np.array([0.25, 0.5, 1, 0.5, 0.25], np.float32)
    fine = convolve1d(share, blur, axis=1)
    fine /= convolve1d(power, blur, axis=1) + TINY
    at = frame_at(frame_centres(frames, bands.SIZE, bands.HOP), LONG, hop)
    return _between(fine[:, :: LONG // bands.SIZE][:, : bands.SINGLE], at)


def of_short_window(sound: Array, frames: int) -> Array:
    """With a 23 ms window, averaged (by power) over each of the grid's frames: (frames, 897)."""
    power = powers(sound, SHORT, SHORT_HOP)
    share = percussiveness(
        power, _odd(0.12 * bands.RATE / SHORT_HOP), _odd(1500 * SHORT / bands.RATE)
    )
    share *= power
    at = np.round(frame_at(frame_centres(frames, bands.SIZE, bands.HOP), SHORT, SHORT_HOP))
    picked = _three(share, at)
    picked /= _three(power, at) + TINY
    return _between(picked.T, bands.MIDDLES * SHORT / bands.SIZE).T


def _three(rows: Array, at: Array) -> Array:
    """Sums of the three rows around each of `at`; beyond the ends, mirrored as scipy does it."""
    last = len(rows) - 1
    middle = np.clip(at, 0, last).astype(int)
    before, after = np.maximum(middle - 1, 0), np.minimum(middle + 1, last)
    summed: Array = rows[middle] + rows[before] + rows[after]
    return summed


def _odd(width: float) -> int:
    return max(3, int(width)) | 1


def _between(rows: Array, at: Array) -> Array:
    """Rows at fractional row numbers, by straight lines; the ends are held."""
    at = np.clip(at, 0, len(rows) - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(rows) - 1)
    part = (at - low).astype(np.float32)[:, None]
    mixed: Array = rows[low] * (1 - part) + rows[high] * part
    return mixed
