"""Counters since the start: bytes sent and received, upload durations, 429 answers. No I/O.

What the journal knows is not counted here: it outlives a restart, these do not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate

# Seconds: the upper ends of the buckets, from a small file on a fast line to an hour's recording.
BOUNDS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


class Durations:
    """How long something took, counted into buckets. Seconds."""

    def __init__(self) -> None:
        self.sum = 0.0
        self._counts = [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        self.sum += seconds
        self._counts[bisect_left(BOUNDS, seconds)] += 1

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """(upper end, how many took at most that long), the last one "+Inf": all."""
        ends = [*map(str, BOUNDS), "+Inf"]
        return list(zip(ends, map(float, accumulate(self._counts)), strict=True))


class Bytes:
    """What went over the line, also in transfers that broke off."""

    def __init__(self) -> None:
        self.total = 0

    def transfer(self) -> Callable[[int], None]:
        """For one transfer: is told how many bytes of it have passed so far."""
        last = 0

        def passed(count: int) -> None:
            nonlocal last
            self.total += count - last if count >= last else count  # fewer: it began again
            last = count

        return passed


@dataclass(slots=True)
class Counters:
    """Of one service; songs go up, stems come down."""

    sent: Bytes = field(default_factory=Bytes)
    received: Bytes = field(default_factory=Bytes)
    upload: Durations = field(default_factory=Durations)
    rate_limited: int = 0  # requests that were answered with 429
