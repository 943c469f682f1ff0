"""Where a song's sound begins, behind silence and noise."""

from __future__ import annotations

import numpy as np

from stemwatch.server.analysis.downmix import RATE
from stemwatch.server.engines.spectral.stft import Array

STEP = 128  # samples, 5.8 ms
FAINT = 40  # dB below the loudest: what is fainter is noise, or the breath before the song
NOTHING = 1e-6  # of full scale: -120 dB


class Beginning:
    """Remembers when each level, in whole decibels, was first reached: at most 120 of them."""

    def __init__(self) -> None:
        self._held = np.zeros(0, np.float32)
        self._steps = 0
        self._reached: dict[int, int] = {}  # decibels -> step

    def add(self, sound: Array) -> None:
        """`sound`: float32 (n,) at 22.05 kHz."""
        sound = np.concatenate([self._held, sound])
        count = len(sound) // STEP
        self._held = sound[count * STEP :]
        loudest = np.abs(sound[: count * STEP]).reshape(count, STEP).max(1)
        levels = np.floor(20 * np.log10(np.maximum(loudest, NOTHING))).astype(int)
        for level in np.unique(levels[levels > max(self._reached, default=-999)]):
            self._reached[int(level)] = self._steps + int(np.argmax(levels >= level))
        self._steps += count

    def seconds(self) -> float:
        """When the sound first comes within FAINT dB of its loudest; 0 where there is none."""
        enough = max(self._reached, default=0) - FAINT
        steps = [step for level, step in self._reached.items() if level >= enough]
        return min(steps, default=0) * STEP / RATE
