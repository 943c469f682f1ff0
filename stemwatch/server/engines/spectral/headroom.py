"""Stems as 16-bit samples that sum to the mix exactly, sample by sample, even where a stem is hot.

Rounding n stems on their own leaves an error that grows with n, and a stem may peak above the mix
it came from (two stems in opposite phase), where clipping it would break the sum. So the mix is
rounded once, every stem is rounded and held in range, and what is missing goes first to the
residual stem, then to any stem with room. There is always room: the mix itself is in range.
"""

from __future__ import annotations

import numpy as np

from stemwatch.server.engines.spectral.stft import Array

FULL = 32_768
LOW, HIGH = -FULL, FULL - 1
PART = 1 << 15  # samples at a time: they stay in a core's cache


def to_pcm(sound: Array) -> Array:
    """Float samples (full scale 1.0) as int32 in the 16-bit range, rounded to nearest, clipped."""
    scaled = np.multiply(sound, np.float32(FULL))  # a power of two: nothing is rounded yet
    np.rint(scaled, out=scaled)
    return np.clip(scaled, LOW, HIGH, out=scaled).astype(np.int32)


def exact_stems(mix: Array, stems: Array, residual: int) -> Array:
    """Int16 stems that sum to `to_pcm(mix)` in every sample.

    `mix` is float (samples, channels), `stems` float (stems, samples, channels); the content of
    stem number `residual` is not used, it becomes what the others leave.
    """
    out = np.empty(stems.shape, np.int16)
    for start in range(0, len(mix), PART):
        part = slice(start, start + PART)
        out[:, part] = _exact(mix[part], stems[:, part], residual)
    return out


def _exact(mix: Array, stems: Array, residual: int) -> Array:
    out = to_pcm(stems)
    out[residual] = 0
    missing = to_pcm(mix) - out.sum(0, dtype=np.int32)
    for stem in (residual, *(n for n in range(len(out)) if n != residual)):
        taken = np.clip(missing, LOW - out[stem], HIGH - out[stem])
        out[stem] += taken
        missing -= taken
        if not missing.any():
            break
    return out
