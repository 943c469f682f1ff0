"""Cuts a stream of mono blocks into overlapping frames."""

from __future__ import annotations

import numpy as np

from stemwatch.server.engines.spectral.stft import Array


class Frames:
    """Frames of `size` samples every `hop`, the first one centred on the first sample."""

    def __init__(self, size: int, hop: int) -> None:
        self._size, self._hop = size, hop
        self._held = np.zeros(size // 2, np.float32)

    def add(self, sound: Array) -> Array:
        """The frames that are complete now: (m, size), m may be 0. A view: not to be changed."""
        sound = np.concatenate([self._held, sound])
        count = max(0, (len(sound) - self._size) // self._hop + 1)
        self._held = sound[count * self._hop :]
        if not count:
            return np.zeros((0, self._size), np.float32)
        return np.lib.stride_tricks.sliding_window_view(sound, self._size)[:: self._hop][:count]
