"""A waveform to draw: the lowest and the highest sample of each column.

Helper process only: this module imports PyAV and numpy.
"""

from __future__ import annotations

import numpy as np

from stemwatch.audio.codec import decode

_FULL = 127
_PART = 220  # samples: 5 ms at 44.1 kHz, so that a song of 5 s fills 1,000 columns


class Waveform:
    """Gathers parts that don't depend on the song's length, which only its end tells.

    Two bytes a part: an hour takes 1.4 MB.
    """

    def __init__(self) -> None:
        self._lows: list[np.ndarray] = []
        self._highs: list[np.ndarray] = []

    def feed(self, samples: np.ndarray) -> None:
        """Take finite samples of shape (channels, n), 0 < n, full scale 1.0."""
        starts = np.arange(0, samples.shape[1], _PART)
        low = high = samples[0]
        for channel in samples[1:]:  # strided samples too: `min(axis=0)` takes eight times as long
            low, high = np.minimum(low, channel), np.maximum(high, channel)
        self._lows.append(_small(np.minimum.reduceat(low, starts)))
        self._highs.append(_small(np.maximum.reduceat(high, starts)))

    def drawn(self, columns: int) -> bytes:
        """`columns` pairs of int8 (lowest, highest; full scale 127), over all channels.

        A song with fewer parts than that repeats each over several columns; one without sound is
        silent.
        """
        found = np.zeros((columns, 2), np.int8)
        if self._lows:
            lows, highs = np.concatenate(self._lows), np.concatenate(self._highs)
            edges = np.linspace(0, len(lows), columns + 1)
            for column in range(columns):
                first = int(edges[column])
                after = max(first + 1, int(np.ceil(edges[column + 1])))
                found[column] = lows[first:after].min(), highs[first:after].max()
        return found.tobytes()


def peaks(path: str, columns: int) -> bytes:
    """The `drawn` waveform of a whole file. Raises what `codec.decode` does."""
    waveform = Waveform()
    for block in decode(path):
        waveform.feed(block.T)
    return waveform.drawn(columns)


def _small(samples: np.ndarray) -> np.ndarray:
    small: np.ndarray = np.rint(np.clip(samples, -1.0, 1.0) * _FULL).astype(np.int8)
    return small
