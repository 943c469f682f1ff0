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
    """Sums (bins, frames) within each band: (897, frames)."""
    summed: Array = np.add.reduceat(bins, STARTS, axis=0)
    return summed


def to_bins(bands: Array) -> Array:
    """Repeats each band's value for its bins: (897, frames) to (2049, frames)."""
    return np.repeat(bands, ENDS - STARTS, axis=0)
