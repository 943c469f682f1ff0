"""A song of any length through a network that takes one segment: overlapping, weighted, streamed.

The same segments and weights as demucs' `apply_model` with an overlap of 0.25 and no shifts. What
is held does not grow with the song.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from stemwatch.server.engines.spectral.stft import Array

OVERLAP = 0.25

Network = Callable[[Array], Array]  # (2, samples) -> (sources, 2, samples)


@dataclass(frozen=True, slots=True)
class Level:
    """Mean and deviation of a whole song in mono: networks hear every song equally loud."""

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, mix: Iterable[Array]) -> Level:
        """Of blocks of (n, 2), each heard once."""
        count, total, squares = 0, 0.0, 0.0
        for block in mix:
            mono = block.mean(1, dtype=np.float64)
            count += len(mono)
            total += mono.sum()
            squares += mono @ mono
        mean = total / max(count, 1)
        variance = max(squares - count * mean * mean, 0.0) / max(count - 1, 1)
        # Numbers of Python: one of numpy would make every array beside it twice as large
        return cls(float(mean), float(variance**0.5 + 1e-8))


def separated(
    mix: Iterable[Array], network: Network, *, sources: int, samples: int, level: Level
) -> Iterator[tuple[Array, Array]]:
    """Pieces of the mix (n, 2) with what the network makes of them, (sources, n, 2), in order.

    `mix` yields float32 (n, 2) of any n; `samples` is a segment's length.
    """
    stride = int((1 - OVERLAP) * samples)
    weight = _triangle(samples)
    summed = np.zeros((sources, 2, samples), np.float32)
    weights = np.zeros(samples, np.float32)
    sound = _Window(mix)
    start = 0
    while (length := sound.reach(start, samples)) > 0:
        # A short last segment stands in the middle of its context, not at the beginning of silence
        early = (samples - length) // 2
        heard = (sound.cut(start - early, samples, level) - level.mean) / level.deviation
        made = network(heard)[:, :, early : early + length]
        made *= weight[:length]
        summed[:, :, :length] += made
        del made  # eleven megabytes, where a song takes the most
        weights[:length] += weight[:length]
        is_last = sound.ends_within(start + stride)
        done = length if is_last else stride
        stems = summed[:, :, :done] / weights[:done]
        stems *= level.deviation
        stems += level.mean
        yield sound.cut(start, done).T, stems.transpose(0, 2, 1)
        if is_last:
            return
        _shift(summed, done)
        _shift(weights, done)
        start += done
        sound.forget(start - samples // 2)


def _triangle(samples: int) -> Array:
    rising = np.arange(1, samples // 2 + 1)
    falling = np.arange(samples - samples // 2, 0, -1)
    whole = np.concatenate([rising, falling]).astype(np.float32)
    weight: Array = whole / whole.max()
    return weight


def _shift(array: Array, by: int) -> None:
    """Move along the last axis towards the beginning; what comes in is zero."""
    array[..., :-by] = array[..., by:].copy()
    array[..., -by:] = 0


class _Window:
    """The part of a stream that is still needed, by the sample's number in the song."""

    def __init__(self, blocks: Iterable[Array]) -> None:
        self._blocks = iter(blocks)
        self._held = np.zeros((2, 0), np.float32)
        self._first = 0  # the number of the first sample held
        self._ended = False

    def reach(self, start: int, samples: int) -> int:
        """Read until `samples` from `start` on are there; how many there are before the end."""
        pieces, have = [self._held], self._first + self._held.shape[1]
        while have < start + samples and not self._ended:
            block = next(self._blocks, None)
            self._ended = block is None
            if block is not None:
                pieces.append(block.T)
                have += len(block)
        if len(pieces) > 1:
            self._held = np.concatenate(pieces, 1)
        return min(samples, have - start)

    def ends_within(self, stop: int) -> bool:
        """Whether the song ends at or before the sample `stop`."""
        return self._ended and self._first + self._held.shape[1] <= stop

    def cut(self, start: int, samples: int, level: Level | None = None) -> Array:
        """(2, samples) from `start` on; silence (at `level`'s mean) where the song isn't."""
        out = np.full((2, samples), level.mean if level else 0.0, np.float32)
        end = self._first + self._held.shape[1]
        first, last = max(start, self._first), min(start + samples, end)
        inside = self._held[:, first - self._first : last - self._first]
        out[:, first - start : last - start] = inside
        return out

    def forget(self, before: int) -> None:
        if before > self._first:
            self._held = self._held[:, before - self._first :].copy()
            self._first = before
