"""Separation of any length in bounded memory: blocks of 24 s, crossfaded over 2 s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np

from stemwatch.server.engines.spectral import bands
from stemwatch.server.engines.spectral.cues import listen
from stemwatch.server.engines.spectral.hands import ALONE, Hands
from stemwatch.server.engines.spectral.headroom import exact_stems
from stemwatch.server.engines.spectral.masks import residual_stem, stem_masks
from stemwatch.server.engines.spectral.network import Network, shipped
from stemwatch.server.engines.spectral.stft import Array, istft

Item = TypeVar("Item")

BLOCK = 24 * bands.RATE
OVERLAP = 2 * bands.RATE


def separate_stream(mix: Iterable[Array], stems: int, threads: int = 1) -> Iterator[Array]:
    """Int16 pieces (stems, n, 2) of the stems in the order of STEMS, as the mix comes in.

    `mix` yields float32 (n, 2) at 44.1 kHz, of any n; NaN and infinities count as silence. The
    pieces together are as long as the mix, and sum to it in every sample (see `headroom`).
    """
    for sound, made in separated_blocks(mix, stems, threads):
        piece = exact_stems(sound, made, residual_stem(stems))
        del sound, made  # 25 MB that would lie there while the next block is separated
        yield piece


def separated_blocks(
    mix: Iterable[Array], stems: int, threads: int = 1
) -> Iterator[tuple[Array, Array]]:
    """Pieces of the mix (n, 2) with float32 stems (stems, n, 2); the residual one is silent."""
    network = shipped()
    ramp = np.linspace(0, 1, OVERLAP, dtype=np.float32)[:, None]
    before: Array | None = None
    with Hands(threads) as hands:
        for block, is_last in _ahead(blocks(mix), hands):
            made = separate_block(block, stems, network, hands)
            if before is not None:
                made[:, :OVERLAP] *= ramp
                made[:, :OVERLAP] += before * (1 - ramp)
            done = len(block) if is_last else len(block) - OVERLAP
            before = made[:, done:].copy()
            if done:
                yield block[:done], made[:, :done]
            del block, made  # they are not held while the next ones are made


def _ahead(items: Iterator[Item], hands: Hands) -> Iterator[Item]:
    """The same items; a second hand fetches the next one while the first is at work on one."""
    following = partial(next, items, None)
    item = following()
    while item is not None:
        fetched = hands.begin(following)
        yield item
        item = fetched()


def separate_block(block: Array, stems: int, network: Network, hands: Hands = ALONE) -> Array:
    """Float32 (stems, samples, 2) of one block; the residual stem is left silent."""
    length = len(block)
    if not np.any(block):
        return np.zeros((stems, length, 2), np.float32)
    if (missing := bands.SIZE - length) > 0:
        block = np.pad(block, ((0, missing), (0, 0)))
    cues = listen(block, hands)
    masks = stem_masks(cues, network, stems, hands)
    spectrum = cues.spectrum
    del cues  # 70 MB that the inverse transforms don't need
    made = np.zeros((stems, length, 2), np.float32)
    others = (stem for stem in range(stems) if stem != residual_stem(stems))

    def sound_of(stem: int, mask: Array, side: int) -> None:  # of one channel: half the memory
        sound = istft(
            spectrum[side : side + 1],
            len(block),
            bands.SIZE,
            bands.HOP,
            lambda frames: bands.to_bins(mask[frames]),
        )
        made[stem, :, side] = sound[:length, 0]

    masked = zip(others, masks, strict=True)
    parts = [(stem, mask, side) for stem, mask in masked for side in (0, 1)]
    hands.each(lambda part: sound_of(*part), parts)
    return made


def blocks(mix: Iterable[Array]) -> Iterator[tuple[Array, bool]]:
    """Overlapping blocks of at most BLOCK samples, each with "is it the last".

    Two blocks share OVERLAP samples. What is left at the end is cut in half where it is more than
    a block, so that no block is too short to hear repetition in.
    """
    held: list[Array] = []
    count = 0
    for piece in mix:
        held.append(np.nan_to_num(piece, nan=0.0, posinf=0.0, neginf=0.0))
        count += len(piece)
        while count >= 2 * BLOCK - OVERLAP:
            sound = np.concatenate(held)
            held = [sound[BLOCK - OVERLAP :]]  # before the block is given: its parts are freed
            count = len(held[0])
            yield sound[:BLOCK], False
    if not count:
        return
    sound = np.concatenate(held)
    if count > BLOCK:
        half = (count + OVERLAP) // 2
        yield sound[:half], False
        sound = sound[half - OVERLAP :]
    yield sound, True
