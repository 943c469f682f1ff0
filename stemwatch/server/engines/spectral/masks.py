"""From cues to the stems' masks: the network's judgement, its voice tempered by repetition.

On real recordings the network alone takes too much for the voice (its training voices are made);
averaged with "what does not repeat, in the middle" it gains about 1 dB there and loses 0.2 dB on
made songs.
"""

from __future__ import annotations

import numpy as np

from stemwatch.job import STEMS
from stemwatch.server.engines.spectral import bands
from stemwatch.server.engines.spectral.cues import Cues
from stemwatch.server.engines.spectral.hands import ALONE, Hands
from stemwatch.server.engines.spectral.network import SOURCES, Network
from stemwatch.server.engines.spectral.stft import Array

VOCALS = 0  # the first of SOURCES
FRAMES = 8  # judged at a time
_HZ = np.maximum(bands.HZ, 1)
_IN_RANGE: Array = 1 / (1 + (130 / _HZ) ** 8) / (1 + (_HZ / 12_000) ** 8)
# What each stem is made of; sources that are not asked for belong to the last group's name.
GROUPS: dict[int, tuple[tuple[str, ...], ...]] = {
    2: (("vocals",), SOURCES[1:]),
    4: (("vocals",), ("drums",), ("bass",), ("other", "guitar", "piano")),
    6: tuple((name,) for name in SOURCES),
}


def stem_masks(cues: Cues, network: Network, stems: int, hands: Hands = ALONE) -> Array:
    """Masks of all stems but the residual one: float32 (stems - 1, frames, bands).

    In the order of STEMS[stems]; what they leave of 1 is the residual stem's. A few frames at a
    time: what lies between cues and masks stays in a core's cache.
    """
    residual = residual_stem(stems)
    groups = [
        [SOURCES.index(source) for source in group]
        for number, group in enumerate(GROUPS[stems])
        if number != residual
    ]
    frames, count = cues.power.shape
    out = np.empty((len(groups), frames, count), np.float32)

    def judge(share: slice) -> None:
        for first in range(share.start, share.stop, FRAMES):
            part = slice(first, min(first + FRAMES, share.stop))
            sources = network.masks(cues.sheet.of(part))
            _temper(sources, unrepeated_centre(cues, part))
            for mask, group in zip(out, groups, strict=True):
                mask[part] = sources[group[0]] if len(group) == 1 else sources[group].sum(0)

    hands.each(judge, hands.shares(frames, 4))
    return out


def _temper(sources: Array, centre: Array) -> None:
    """Averages the voice's share with `centre`; the others share what it leaves, as before."""
    voice = (sources[VOCALS] + centre) / 2
    # Their own sum, as 1 - voice is rounded to nothing where the network is sure of a voice
    left_over = sources[VOCALS + 1 :].sum(0)
    sources *= (1 - voice) / np.maximum(left_over, 1e-30)
    sources[VOCALS] = voice


def unrepeated_centre(cues: Cues, frames: slice) -> Array:
    """A voice mask without weights: what does not repeat, is in the middle, and is a voice's."""
    repeating = cues.repeating[frames]
    new = np.clip(1 - repeating, 0, 1) ** 2
    new /= new + repeating**2 + 1e-9
    centred = np.clip((cues.sheet["centred"][frames] - 0.3) / 0.6, 0, 1)
    mask: Array = new * centred * _IN_RANGE
    return mask


def residual_stem(stems: int) -> int:
    """Which stem is the mix minus all others: the one with everything that has no name."""
    return STEMS[stems].index("instrumental" if stems == 2 else "other")
