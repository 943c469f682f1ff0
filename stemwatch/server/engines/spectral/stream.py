"""Separation of any length in bounded memory: blocks of 24 s, crossfaded over 2 s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stemwatch.server.engines.spectral import bands
from stemwatch.server.engines.spectral.cues import listen
from stemwatch.server.engines.spectral.hands import ALONE, Hands
from stemwatch.server.engines.spectral.headroom import exact_stems
from stemwatch.server.engines.spectral.masks import residual_stem, stem_masks
from stemwatch.server.engines.spectral.network import Network, shipped
from stemwatch.server.engines.spectral.stft import Array, istft

BLOCK = 24 * bands.RATE
OVERLAP = 2 * bands.RATE


def separate_stream(mix: Iterable[Array], stems: int, threads: int = 1) -> Iterator[Array]:
    """Int16 pieces (stems, n, 2) of the stems in the order of STEMS, as the mix comes in.

    `mix` yields float32 (n, 2) at 44.1 kHz, of any n; NaN and infinities count as silence. The
    pieces together are as long as the mix, and sum to it in every sample (see `headroom`).
    """
    for sound, made in separated_blocks(mix, stems, threads):
        yield exact_stems(sound, made, residual_stem(stems))


def separated_blocks(
    mix: Iterable[Array], stems: int, threads: int = 1
) -> Iterator[tuple[Array, Array]]:
    """Pieces of the mix (n, 2) with float32 stems (stems, n, 2); the residual one is silent."""
    network = shipped()
    ramp = np.linspace(0, 1, OVERLAP, dtype=np.float32)[:, None]
    before: Array | None = None
    with Hands(threads) as hands:
        for block, is_last in blocks(mix):
            made = separate_block(block, stems, network, hands)
            if before is not None:
                made[:, :OVERLAP] *= ramp
                made[:, :OVERLAP] += before * (1 - ramp)
            done = len(block) if is_last else len(block) - OVERLAP
            before = made[:, done:].copy()
            if done:
                yield block[:done], made[:, :done]


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

    def sound_of(stem: tuple[int, Array]) -> None:
        number, mask = stem
        masked = spectrum * bands.to_bins(mask)
        made[number] = istft(masked, len(block), bands.SIZE, bands.HOP)[:length]

    hands.each(sound_of, zip(others, masks, strict=True))
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
            yield sound[:BLOCK], False
            held = [sound[BLOCK - OVERLAP :]]
            count = len(held[0])
    if not count:
        return
    sound = np.concatenate(held)
    if count > BLOCK:
        half = (count + OVERLAP) // 2
        yield sound[:half], False
        sound = sound[half - OVERLAP :]
    yield sound, True
