"""A mask that a network makes of 512 frames at a time, laid on a song of any length.

The transform is Spleeter's: 4096 samples, Hann, a quarter apart, the first frame's middle at the
first sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from scipy import fft

from stemwatch.server.engines.neural.spectrum import HOP, SIZE, hann
from stemwatch.server.engines.spectral.stft import Array

Masks = Callable[[Array], Array]  # magnitudes (2, frames, bins) to shares of the same shape


def masked(mix: Iterable[Array], masks: Masks, *, frames: int) -> Iterator[tuple[Array, Array]]:
    """Pieces of the mix (n, 2) with their masked part, in order.

    `mix` yields float32 (n, 2) of any n; `masks` takes `frames` frames and as many bins as it
    gives; those above are not part of the result.
    """
    step = frames * HOP
    held = np.zeros((2, SIZE // 2), np.float32)  # the song begins in the middle of a frame
    blocks, ended = iter(mix), False
    summed = np.zeros((2, step + SIZE - HOP), np.float32)
    weight = np.zeros(step + SIZE - HOP, np.float32)
    given, skip = 0, SIZE // 2
    length = 0
    while not ended or given < length:
        pieces, have = [held], held.shape[1]
        while have < step + SIZE - HOP and not ended:
            block = next(blocks, None)
            ended = block is None
            if block is not None:
                pieces.append(block.T)
                have += len(block)
                length += len(block)
        held = np.concatenate(pieces, 1)
        # Of the frames behind the song's end, none counts
        left = length - given + skip
        count = frames if not ended else min(frames, (left - SIZE // 2) // HOP + 1)
        if count > 0:
            _lay(held, masks, frames, count, summed, weight)
        done = step - skip if not ended else min(step - skip, length - given)
        if done:
            sound = held[:, skip : skip + done]
            yield sound.T, (summed[:, skip : skip + done] / weight[skip : skip + done]).T
        given += done
        held = held[:, step:].copy()
        skip = 0
        for array in (summed, weight):
            array[..., : SIZE - HOP] = array[..., step:].copy()
            array[..., SIZE - HOP :] = 0


def _lay(held: Array, masks: Masks, frames: int, count: int, summed: Array, weight: Array) -> None:
    """Add `count` masked frames of `held` to `summed`, and their windows to `weight`."""
    needed = frames * HOP + SIZE - HOP
    sound = np.zeros((2, needed), np.float32)
    sound[:, : min(needed, held.shape[1])] = held[:, :needed]
    cut = np.lib.stride_tricks.sliding_window_view(sound, SIZE, axis=1)[:, ::HOP]
    spectrum = fft.rfft(cut * hann(), axis=2)
    spectrum[:, count:] = 0
    share = masks(np.abs(spectrum))
    bins = share.shape[2]
    spectrum[:, :, :bins] *= share
    spectrum[:, :, bins:] = 0
    back = fft.irfft(spectrum, SIZE, axis=2) * hann()
    square = hann() ** 2
    for frame in range(count):
        at = slice(frame * HOP, frame * HOP + SIZE)
        summed[:, at] += back[:, frame]
        weight[at] += square
