"""Estimates how long a remote job takes, from the last jobs that ended.

No I/O and no clock; all times are seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

REMEMBER = 20  # recent jobs that the estimate is made from
_FINENESS = 0.112  # of the steps within a window: about 2/3 of 1/_FINENESS polls find an end
_UNSEEN = 0.9  # what the first poll finds done may have been done so much earlier


@dataclass(frozen=True, slots=True)
class Window:
    """When a job is likely to end, in seconds after its start."""

    earliest: float
    latest: float

    @property
    def middle(self) -> float:
        return (self.earliest + self.latest) / 2


@dataclass(frozen=True, slots=True)
class _Seen:
    """A job that ended between two looks at it."""

    low: float
    high: float
    audio: float | None

    def of(self, *, by_audio: bool) -> tuple[float, float]:
        """`low` and `high`, or both for a second of its audio."""
        size = self.audio or math.inf if by_audio else 1.0
        return self.low / size, self.high / size


class Estimate:
    """The last REMEMBER jobs, and what they foretell of the next."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=REMEMBER)
        self._sooner = False  # the last one came sooner than anybody thought
        self._units: dict[bool, Window] = {}  # by audio or not; made anew when there is more to see

    def __bool__(self) -> bool:
        return bool(self._seen)

    def observe(self, running_at: float, done_at: float, audio: float | None = None) -> None:
        """A job was running at one poll (0: never seen so) and done at the next."""
        low, sooner = running_at, running_at <= 0.0
        if sooner:
            low = done_at * _UNSEEN
            # One in ten is where jobs vary. Two running: so may the next be, and old ones tell
            # less of it.
            for _ in range(len(self._seen) // 2 if self._sooner else 0):
                self._seen.popleft()
        self._sooner = sooner
        self._seen.append(_Seen(min(low, done_at), done_at, audio))
        self._units.clear()

    @property
    def typical(self) -> float | None:
        """The median time at which a job was seen done; None before the first one."""
        ends = sorted(seen.high for seen in self._seen)
        return ends[len(ends) // 2] if ends else None

    def window(self, audio: float | None) -> Window | None:
        """For a song of so many seconds; None before the first one ended."""
        if not self._seen:
            return None
        windows = [self._window(1.0, by_audio=False)]
        if audio and all(seen.audio for seen in self._seen):
            windows.append(self._window(audio, by_audio=True))
        # Whichever tells more: on a GPU a long song takes longer, in a queue it hardly does.
        return min(windows, key=lambda window: window.latest / max(window.earliest, 1e-9))

    def _window(self, size: float, *, by_audio: bool) -> Window:
        if by_audio not in self._units:
            self._units[by_audio] = self._unit(by_audio=by_audio)
        unit = self._units[by_audio]
        return Window(unit.earliest * size, unit.latest * size)

    def _unit(self, *, by_audio: bool) -> Window:
        """When jobs end that may all be alike; else those that vary, ends of either side unseen."""
        seen = [job.of(by_audio=by_audio) for job in self._seen]
        low, high = max(low for low, _ in seen), min(high for _, high in seen)
        around = (high - low) / (len(seen) + 1)
        if low > high:
            # Of so many that end anywhere within a window, the first and the last are that far
            # from its borders: a window too narrow finds a third of the next ones late.
            middles = [(low + high) / 2 for low, high in seen]
            low, high = min(middles), max(middles)
            around = (high - low) / (len(seen) - 1)
        return Window(max(0.0, low - around), high + around)


def next_step(
    window: Window, elapsed: float, shortest: float, longest: float, coarse: float = 1.0
) -> float:
    """Seconds until the next poll of a job that has been running for `elapsed`.

    The later in its window, the likelier a job ends in the next second: the steps shrink with the
    root of what is left, which finds ends soonest for a given number of polls. Past the window,
    they are as long as the time since. `coarse`: so many times fewer polls.
    """
    if elapsed < window.earliest:
        return max(min(shortest, longest), window.earliest - elapsed)
    left = window.latest - elapsed
    if left <= 0.0:
        return min(longest, max(shortest, -left))
    wide = window.latest - window.earliest
    return min(longest, max(shortest, coarse * _FINENESS * math.sqrt(wide * left)))
