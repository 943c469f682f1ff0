"""Separation of any length in bounded memory: blocks of 24 s, crossfaded over 2 s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stemwatch.server.engines.spectral import bands
from stemwatch.server.engines.spectral.cues import listen
from stemwatch.server.engines.spectral.headroom import exact_stems
from stemwatch.server.engines.spectral.masks import residual_stem, stem_masks
from stemwatch.server.engines.spectral.network import Network, shipped
from stemwatch.server.engines.spectral.stft import Array, istft

BLOCK = 24 * bands.RATE
OVERLAP = 2 * bands.RATE


def separate_stream(mix: Iterable[Array], stems: int) -> Iterator[Array]:
    """Int16 pieces (stems, n, 2) of the stems in the order of STEMS, as the mix comes in.

    `mix` yields float32 (n, 2) at 44.1 kHz, of any n; NaN and infinities count as silence. The
    pieces together are as long as the mix, and sum to it in every sample (see `headroom`).
    """
    network = shipped()
    residual = residual_stem(stems)
    ramp = np.linspace(0, 1, OVERLAP, dtype=np.float32)[:, None]
    before: Array | None = None
    for block, is_last in blocks(mix):
        made = separate_block(block, stems, network)
        if before is not None:
            made[:, :OVERLAP] *= ramp
            made[:, :OVERLAP] += before * (1 - ramp)
        done = len(block) if is_last else len(block) - OVERLAP
        before = made[:, done:].copy()
        if done:
            yield exact_stems(block[:done], made[:, :done], residual)


def separate_block(block: Array, stems: int, network: Network) -> Array:
    """Float32 (stems, samples, 2) of one block; the residual stem is left silent."""
    length = len(block)
    made = np.zeros((stems, length, 2), np.float32)
    if not np.any(block):
        return made
    padded = np.pad(block, ((0, max(0, bands.SIZE - length)), (0, 0)))
    cues = listen(padded)
    masks = stem_masks(cues, network, stems)
    spectrum = cues.spectrum
    del cues  # 90 MB that the inverse transforms don't need
    for stem in range(stems):
        if stem != residual_stem(stems):
            masked = spectrum * bands.to_bins(masks[stem])
            made[stem] = istft(masked, len(padded), bands.SIZE, bands.HOP)[:length]
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
