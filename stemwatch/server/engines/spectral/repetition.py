"""REPET-SIM (Rafii and Pardo 2012): what comes again and again is accompaniment, not voice.

For each frame, the median over the frames that sound most alike keeps what they share.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import maximum_filter1d

from stemwatch.server.engines.spectral.hands import ALONE, Hands
from stemwatch.server.engines.spectral.percussive import TINY
from stemwatch.server.engines.spectral.stft import Array

SIMILAR = 15  # frames in a median
APART = 0.8  # seconds: neighbours are alike because a note lasts, not because it comes again
PITCHES = 64  # log-spaced bands in which frames are compared


def background(
    magnitude: Array, frames_per_second: float, hands: Hands = ALONE
) -> Callable[[], Array]:
    """Begin with the repeating part of `magnitude` (frames, bands), never more than it."""
    frames = len(magnitude)
    likeness = _likeness(magnitude)
    gap = max(1, int(APART * frames_per_second))
    for frame, row in enumerate(likeness):
        row[max(0, frame - gap + 1) : frame + gap] = -1
    near = 2 * max(1, gap // 4) + 1
    peaks = likeness >= maximum_filter1d(likeness, near, axis=1, mode="nearest")
    likeness[~peaks] = -1
    alike = _most_alike(likeness)
    out = np.empty_like(magnitude)

    def median(share: slice) -> None:
        _median_of_alike(magnitude, alike, share, out)

    begun = [hands.begin(median, share) for share in hands.shares(frames, 4)]

    def result() -> Array:
        for part in begun:
            part()
        return out

    return result


def _likeness(magnitude: Array) -> Array:
    """Cosine similarity of every two frames: (frames, frames)."""
    highest = magnitude.shape[1] - 1
    edges = np.unique(np.round(np.geomspace(3, highest, PITCHES + 1)).astype(int))
    coarse = np.add.reduceat(magnitude[:, : edges[-1]], edges[:-1], axis=1)
    coarse = np.log1p(coarse / (coarse.mean() + TINY) * 5)
    coarse /= np.linalg.norm(coarse, axis=1, keepdims=True) + TINY
    alike: Array = coarse @ coarse.T
    return alike


def _most_alike(likeness: Array) -> Array:
    """For each frame the numbers of those that sound most alike, itself the last of them."""
    frames = len(likeness)
    count = min(SIMILAR, frames)
    number = np.arange(frames)[:, None]
    best = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    # Where fewer frames are alike, the frame itself takes the place: no repetition, no background
    best = np.where(np.take_along_axis(likeness, best, 1) > 0, best, number)
    return np.concatenate([best, number], 1)


def _median_of_alike(magnitude: Array, best: Array, share: slice, out: Array) -> None:
    middle = best.shape[1] // 2
    for frame in range(share.start, share.stop):
        alike = magnitude[best[frame]]
        alike.partition(middle, axis=0)
        np.minimum(alike[middle], magnitude[frame], out=out[frame])
