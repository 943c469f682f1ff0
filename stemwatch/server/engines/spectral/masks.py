"""From cues to the stems' masks: the network's judgement, its voice tempered by repetition.

On real recordings the network alone takes too much for the voice (its training voices are made);
averaged with "what does not repeat, in the middle" it gains about 1 dB there and loses 0.2 dB on
made songs.
"""

from __future__ import annotations

import numpy as np

from stemwatch.job import STEMS
from stemwatch.server.engines.spectral import bands
from stemwatch.server.engines.spectral.cues import NAMES, Cues
from stemwatch.server.engines.spectral.network import SOURCES, Network
from stemwatch.server.engines.spectral.stft import Array

VOCALS = 0  # the first of SOURCES
# What each stem is made of; sources that are not asked for belong to the last group's name.
GROUPS: dict[int, tuple[tuple[str, ...], ...]] = {
    2: (("vocals",), SOURCES[1:]),
    4: (("vocals",), ("drums",), ("bass",), ("other", "guitar", "piano")),
    6: tuple((name,) for name in SOURCES),
}


def stem_masks(cues: Cues, network: Network, stems: int) -> Array:
    """Masks in the order of STEMS[stems]: float32 (stems, bands, frames), summing to 1."""
    sources = network.masks(cues.values)
    voice = (sources[VOCALS] + unrepeated_centre(cues)) / 2
    # The others share what the voice leaves, in the network's proportions. Their own sum, as
    # 1 - voice is rounded to nothing where the network is sure of a voice
    left_over = sources[VOCALS + 1 :].sum(0)
    sources *= (1 - voice) / np.maximum(left_over, 1e-30)
    sources[VOCALS] = voice
    if stems == len(SOURCES):
        return sources
    return np.stack([sources[[SOURCES.index(s) for s in group]].sum(0) for group in GROUPS[stems]])


def unrepeated_centre(cues: Cues) -> Array:
    """A voice mask without weights: what does not repeat, is in the middle, and is a voice's."""
    new = np.clip(1 - cues.repeating, 0, 1) ** 2
    new = new / (new + cues.repeating**2 + 1e-9)
    centred = np.clip((cues.values[NAMES.index("centred")] - 0.3) / 0.6, 0, 1)
    hz = np.maximum(bands.HZ, 1)[:, None]
    in_range = 1 / (1 + (130 / hz) ** 8) / (1 + (hz / 12_000) ** 8)
    mask: Array = new * centred * in_range
    return mask


def residual_stem(stems: int) -> int:
    """Which stem is the mix minus all others: the one with everything that has no name."""
    return STEMS[stems].index("instrumental" if stems == 2 else "other")
