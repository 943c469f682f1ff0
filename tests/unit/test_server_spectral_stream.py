"""Separation in blocks: nothing lost, nothing added, whatever comes in."""

from __future__ import annotations

import numpy as np
import pytest

from stemwatch.server.engines.spectral.headroom import to_pcm
from stemwatch.server.engines.spectral.network import shipped
from stemwatch.server.engines.spectral.stft import Array
from stemwatch.server.engines.spectral.stream import (
    BLOCK,
    OVERLAP,
    blocks,
    separate_block,
    separate_stream,
)
from stemwatch.server.made_song import make_song

RATE = 44_100
RNG = np.random.default_rng(5)
NOISE = RNG.normal(size=(RATE // 3, 2)) * 0.2
EDGES = {
    "one sample": np.full((1, 2), 0.3),
    "shorter than a window": NOISE[:500],
    "silent": np.zeros_like(NOISE),
    "one-sided": NOISE * [1, 0],
    "anti-phase": NOISE[:, :1] * [1, -1],
    "mono": NOISE[:, :1] * [1, 1],
    "square at full scale": np.sign(NOISE),
    "constant": np.full_like(NOISE, 0.5),
    "silence with a click": np.eye(len(NOISE), 1, -9_000) * [0.9, 0.9],
    "far too hot": NOISE * 20,
    "nearly silent": NOISE * 1e-7,
    "NaN and infinities": np.where(RNG.random(NOISE.shape) < 1e-3, np.nan, NOISE),
}


def whole(pieces: list[Array], stems: int) -> Array:
    return np.concatenate([np.zeros((stems, 0, 2), np.int16), *pieces], axis=1)


@pytest.mark.parametrize("name", EDGES)
def test_edge_inputs_give_stems_that_sum_to_them(name: str) -> None:
    """Odd inputs separate without a warning, into stems of their length and sum."""
    mix = EDGES[name].astype(np.float32)
    made = whole(list(separate_stream([mix], 4)), 4)
    assert np.array_equal(made.sum(0, dtype=np.int32), to_pcm(np.nan_to_num(mix)))


def test_nothing_in_nothing_out() -> None:
    """An empty stream gives no pieces."""
    assert list(separate_stream([], 2)) == []
    assert list(separate_stream([np.zeros((0, 2), np.float32)], 2)) == []


@pytest.mark.parametrize(
    "length",
    [1, BLOCK, BLOCK + 1, 2 * BLOCK - OVERLAP - 1, 2 * BLOCK - OVERLAP, 4 * BLOCK + 7],
)
def test_blocks_overlap_and_cover_every_sample(length: int) -> None:
    """Blocks are at most BLOCK long, share OVERLAP samples, and rebuild the mix in order."""
    mix = np.repeat(np.arange(length, dtype=np.float32)[:, None], 2, 1)
    pieces = [mix[at : at + 100_000] for at in range(0, length, 100_000)]
    rebuilt, last_seen = [], False
    for block, is_last in blocks(pieces):
        assert len(block) <= BLOCK
        assert is_last or len(block) > 2 * OVERLAP
        rebuilt.append(block if is_last else block[:-OVERLAP])
        last_seen = is_last
    assert last_seen
    assert np.array_equal(np.concatenate(rebuilt), mix)


def test_the_pieces_of_the_mix_do_not_matter() -> None:
    """Blocks are the same whether the decoder hands over small or large pieces."""
    mix = np.random.default_rng(1).normal(size=(3 * BLOCK, 2)).astype(np.float32)
    at_once, in_parts = list(blocks([mix])), list(blocks(np.array_split(mix, 37)))
    assert [is_last for _, is_last in at_once] == [is_last for _, is_last in in_parts]
    for (one, _), (other, _) in zip(at_once, in_parts, strict=True):
        assert np.array_equal(one, other)


def test_the_seam_between_two_blocks_is_not_heard() -> None:
    """Across a crossfade the stems sum to the mix, and the voice is that of one block."""
    mix, _ = make_song(seconds=(BLOCK + RATE) / RATE)
    pieces = list(separate_stream([mix], 2))
    made = whole(pieces, 2)
    assert len(pieces) == 2
    assert np.array_equal(made.sum(0, dtype=np.int32), to_pcm(mix))
    fade = slice(pieces[0].shape[1], pieces[0].shape[1] + OVERLAP)
    around = slice(fade.start - 6 * RATE, fade.stop + 6 * RATE)
    unbroken = separate_block(mix[around], 2, shipped())[0][6 * RATE : -6 * RATE] * 32_768
    error = unbroken - made[0, fade]
    assert (error**2).sum() < 0.1 * (unbroken**2).sum()
