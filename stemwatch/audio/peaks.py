"""A waveform to draw: the lowest and the highest sample of each column.

Helper process only: this module imports PyAV and numpy.
"""

from __future__ import annotations

import numpy as np

from stemwatch.audio.codec import BLOCK, decode

_FULL = 127


def peaks(path: str, columns: int) -> bytes:
    """`columns` pairs of int8 (lowest, highest; full scale 127), over both channels.

    The last columns of a song shorter than that are silent. Raises what `codec.decode` does.
    """
    lows, highs = [], []
    for block in decode(path):
        # Parts of the song that don't depend on its length, which only its end tells.
        for part in np.array_split(block, max(1, len(block) // (BLOCK // 256))):
            lows.append(float(part.min()))
            highs.append(float(part.max()))
    found = np.zeros((columns, 2), np.int8)
    edges = np.linspace(0, len(lows), columns + 1)
    for column in range(columns):
        first = int(edges[column])
        after = max(first + 1, int(np.ceil(edges[column + 1])))
        if first < len(lows):
            found[column, 0] = _small(min(lows[first:after]))
            found[column, 1] = _small(max(highs[first:after]))
    return found.tobytes()


def _small(sample: float) -> int:
    return round(max(-1.0, min(1.0, sample)) * _FULL)
