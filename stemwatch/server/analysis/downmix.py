"""Stereo at 44.1 kHz to mono at 22.05 kHz, block by block."""

from __future__ import annotations

from functools import cache

import numpy as np

from stemwatch.server.analysis.filters import halved, low_pass
from stemwatch.server.engines.spectral.stft import Array

RATE = 22_050
TAPS = 63
# Where the middle is this much weaker than the sides (anti-phase), mono would be silence
CANCELLED = 1e-3


@cache
def half_band() -> Array:
    """A low-pass at 10 kHz for halving the rate."""
    return low_pass(TAPS, 10_000, 2 * RATE)


class Downmix:
    """Halves the rate across blocks of any length as if they were one."""

    def __init__(self) -> None:
        self._held = np.zeros(TAPS // 2, np.float32)

    def add(self, block: Array) -> Array:
        """Mono of what is complete so far: float32 (about n / 2,)."""
        clean = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
        return self._halve(np.concatenate([self._held, _mono(clean)]))

    def rest(self) -> Array:
        """What the filter still holds."""
        return self._halve(np.concatenate([self._held, np.zeros(TAPS // 2, np.float32)]))

    def _halve(self, sound: Array) -> Array:
        ready = (len(sound) - TAPS + 1) // 2 * 2
        if ready <= 0:
            self._held = sound
            return np.zeros(0, np.float32)
        self._held = sound[ready:]
        return halved(sound[: ready + TAPS - 1], half_band())


def _mono(block: Array) -> Array:
    middle: Array = block.mean(1)
    if (middle**2).sum() < CANCELLED * (block**2).sum():
        left: Array = block[:, 0]
        return left
    return middle
