"""The true peak: the highest level between the samples, where a player's converter goes.

Helper process only: this module imports numpy.
"""

from __future__ import annotations

import numpy as np

_TAPS = 24  # samples that give a point between two of them
_HALF = _TAPS // 2
# Four points a sample, as ITU-R BS.1770-5 (annex 2) asks for at 48 kHz; the sample is one of them.
_OFFSETS = (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)
# Between samples, sound of a usual spectrum rises by 3 dB, and by 6 dB in made extremes. A sample
# below half the highest has no higher peak beside it, and most of a song is not looked at.
_WORTH = 0.5


def _filters() -> np.ndarray:
    """Shape (taps, offsets): windowed sinc for points around the sample at `_HALF - 1`."""
    at = np.arange(_TAPS)[:, None] - (_HALF - 1) - np.array(_OFFSETS)[None, :]
    window = np.i0(7.0 * np.sqrt(np.maximum(0.0, 1 - (at / (_HALF + 0.5)) ** 2))) / np.i0(7.0)
    filters = np.sinc(at) * window
    scaled: np.ndarray = filters / filters.sum(axis=0)  # a constant stays what it is
    return scaled.astype(np.float32)


class TruePeak:
    """Looks at blocks one after the other; `peak` is the highest so far, full scale 1.0.

    In decibels that is dBTP. Before the first sample and behind the last one there is nothing: a
    song that is cut off would rise there into the silence, which other meters don't count either.
    """

    def __init__(self) -> None:
        self.peak = 0.0
        self._filters = _filters()
        self._before: np.ndarray | None = None

    def feed(self, samples: np.ndarray) -> None:
        """Take finite float32 of shape (channels, n), always of as many channels."""
        self.peak = max(
            self.peak, float(samples.max(initial=0.0)), -float(samples.min(initial=0.0))
        )
        if self._before is not None:
            samples = np.concatenate((self._before, samples), axis=1)
        self._before = samples[:, -_TAPS:].copy()
        for channel in samples:
            self._between(channel)

    def _between(self, samples: np.ndarray) -> None:
        """Look beside the samples that stand out, as far as what their filters need is there."""
        if len(samples) <= _TAPS:
            return
        here = samples[_HALF:-_HALF]
        left, right = samples[_HALF - 1 : -_HALF - 1], samples[_HALF + 1 : 1 - _HALF]
        rise, fall = here - left, here - right
        # The turning points; of a clipped run only its two ends, where it overshoots.
        turns = (rise * fall >= 0.0) & (rise + fall != 0.0)
        (found,) = np.nonzero(turns & (np.abs(here) > _WORTH * self.peak))
        if len(found):
            windows = np.lib.stride_tricks.sliding_window_view(samples, _TAPS)
            points = windows[found + 1] @ self._filters
            self.peak = max(self.peak, float(np.abs(points).max()))
