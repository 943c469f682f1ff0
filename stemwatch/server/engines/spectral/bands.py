"""The 897 bands: single bins of the 4096-point spectrum up to 5.5 kHz, four bins a band above.

Cues and masks are computed on this grid; four bins at once where the ear and the network don't
need more halve the work.
"""

from __future__ import annotations

import numpy as np

from stemwatch.server.engines.spectral.stft import Array

RATE = 44_100
SIZE = 4096
HOP = 1024
BINS = SIZE // 2 + 1
SINGLE = 512  # the bins below it are bands of their own

STARTS: Array = np.concatenate([np.arange(SINGLE), np.arange(SINGLE, BINS, 4)])
ENDS: Array = np.append(STARTS[1:], BINS)
WIDTHS: Array = (ENDS - STARTS).astype(np.float32)
MIDDLES: Array = ((STARTS + ENDS - 1) / 2).astype(np.float32)  # in bins
HZ: Array = (MIDDLES * RATE / SIZE).astype(np.float32)
COUNT = len(STARTS)


def to_bands(bins: Array) -> Array:
    """Sums (frames, bins) within each band: (frames, 897)."""
    out = np.empty((len(bins), COUNT), bins.dtype)
    out[:, :SINGLE] = bins[:, :SINGLE]
    wide = out[:, SINGLE:-1]
    np.add(bins[:, SINGLE:-1:4], bins[:, SINGLE + 1 :: 4], out=wide)
    wide += bins[:, SINGLE + 2 :: 4]
    wide += bins[:, SINGLE + 3 :: 4]
    out[:, -1] = bins[:, -1]  # the highest bin is left over
    return out


def to_bins(bands: Array) -> Array:
    """Repeats each band's value for its bins: (frames, 897) to (frames, 2049)."""
    return np.repeat(bands, ENDS - STARTS, axis=1)
