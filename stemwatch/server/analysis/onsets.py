"""How much begins in each 11.6 ms: log-mel spectral flux, of all and of the low bands; kicks."""

from __future__ import annotations

import numpy as np
from scipy import fft

from stemwatch.server.analysis.downmix import RATE
from stemwatch.server.analysis.filters import hann, running_mean
from stemwatch.server.analysis.windows import Frames
from stemwatch.server.engines.spectral.stft import Array

SIZE = 1024
HOP = 256
PER_SECOND = RATE / HOP
BANDS = 48
LOW_BANDS = 8
LAG = 2  # frames that a rise is measured over
KICK = slice(2, 7)  # bins of 43 to 130 Hz
LATE = 1  # frames by which a level rises behind its logarithm
FLAT = 3e-3  # spread of a curve in which nothing begins: a steady tone's rounding


def mel_weights() -> Array:
    """Triangles of area 1 from 30 Hz to 10 kHz: float32 (SIZE // 2 + 1, BANDS)."""
    edges = 700 * (10 ** (np.linspace(_mel(30), _mel(10_000), BANDS + 2) / 2595) - 1)
    hz = np.arange(SIZE // 2 + 1)[:, None] * RATE / SIZE
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rise, fall = (hz - low) / (middle - low), (high - hz) / (high - middle)
    weights = np.clip(np.minimum(rise, fall), 0, None)
    triangles: Array = (weights / np.maximum(weights.sum(0), 1e-9)).astype(np.float32)
    return triangles


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


class Onsets:
    """Collects the three onset curves while the song comes in."""

    def __init__(self) -> None:
        self._frames = Frames(SIZE, HOP)
        self._window = hann(SIZE)
        self._mel = mel_weights()
        self._before = np.zeros((LAG, BANDS), np.float32)
        self._kick_before = np.zeros(LAG, np.float32)
        self._begun = False
        self._curves: list[Array] = []

    def add(self, sound: Array) -> None:
        """`sound`: float32 (n,) at 22.05 kHz."""
        frames = self._frames.add(sound)
        if not len(frames):
            return
        magnitude = np.abs(fft.rfft(frames * self._window, axis=1))
        level = np.log1p(8000 / SIZE * (magnitude @ self._mel))
        if not self._begun:  # the start of the file is not an onset
            self._before, self._begun = np.repeat(level[:1], LAG, 0), True
        level = np.concatenate([self._before, level])
        self._before = level[-LAG:]
        # Against the loudest of three neighbours: vibrato and glides are no onsets
        wide = np.maximum(level, np.maximum(np.roll(level, 1, 1), np.roll(level, -1, 1)))
        rise = np.maximum(level[LAG:] - wide[:-LAG], 0)
        kick = self._kick(magnitude[:, KICK])
        self._curves.append(np.stack([rise.mean(1), rise[:, :LOW_BANDS].mean(1), kick]))

    def _kick(self, magnitude: Array) -> Array:
        """The rise of the level itself: the kick's is large, a bass note's beside it is not."""
        level = np.concatenate([self._kick_before, np.sqrt((magnitude**2).sum(1))])
        self._kick_before = level[-LAG:]
        rise: Array = np.maximum(level[LAG:] - level[:-LAG], 0)
        return rise

    def curves(self) -> tuple[Array, Array, Array]:
        """Onset strength of all bands, of the low ones, and of kicks alone; spread 1 each.

        PER_SECOND values a second, the first one at the song's start.
        """
        if not self._curves:
            return np.zeros(0), np.zeros(0), np.zeros(0)
        everything, low, kick = np.concatenate(self._curves, 1)
        return (
            _stand_out(everything),
            _stand_out(low),
            _stand_out(np.append(kick[LATE:], [0] * LATE)),
        )


def _stand_out(curve: Array) -> Array:
    """What rises above the mean of the second around it."""
    width = int(PER_SECOND) | 1
    if len(curve) < width:
        return np.zeros(len(curve))
    curve = np.maximum(curve - running_mean(curve, width), 0)
    spread = float(curve.std())
    return curve / spread if spread > FLAT else np.zeros(len(curve))
