"""Counters since the start: bytes sent and received, upload durations, 429 answers. No I/O.

They begin at 0 with each start and only grow. What the journal holds, such as the number of
delivered songs, outlives a restart and is not counted here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate

# Upper ends of the buckets in seconds: from a small file on a fast line to an hour's recording.
BOUNDS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


class Durations:
    """A histogram of durations in seconds."""

    def __init__(self) -> None:
        self.sum = 0.0
        self._counts = [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        self.sum += seconds
        self._counts[bisect_left(BOUNDS, seconds)] += 1

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Pairs (upper end, how many took at most that long). The last one, "+Inf", counts all."""
        ends = [*map(str, BOUNDS), "+Inf"]
        return list(zip(ends, map(float, accumulate(self._counts)), strict=True))


class Bytes:
    """Bytes that were transferred, those of broken-off transfers included."""

    def __init__(self) -> None:
        self.total = 0

    def transfer(self) -> Callable[[int], None]:
        """A callback for one transfer. Call it with the number of bytes transferred so far."""
        last = 0

        def passed(count: int) -> None:
            nonlocal last
            # Fewer bytes than before: the transfer began again.
            self.total += count - last if count >= last else count
            last = count

        return passed


@dataclass(slots=True)
class Counters:
    """The counters of one service: songs are sent, stems are received."""

    sent: Bytes = field(default_factory=Bytes)
    received: Bytes = field(default_factory=Bytes)
    upload: Durations = field(default_factory=Durations)
    rate_limited: int = 0  # requests that were answered with 429
