"""Estimates how long a remote job takes, from the last jobs that ended.

The estimate is made per job or per second of audio, whichever fits better. For a song much longer
or shorter than those seen it spans both. No I/O and no clock; all times are seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

REMEMBER = 20  # recent jobs that the estimate is made from
_FINENESS = 0.112  # scales the steps in a window: finding an end takes (2/3) / _FINENESS = 6 polls
_FAR = 2.0  # times as long as the longest song seen, or as short: which of the two holds is unknown
_UNSEEN = 0.9  # a job that its first poll finds done ended at this share of the time, or later


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
    """A job that ended between two polls: it ran at `low` and was done at `high`."""

    low: float
    high: float
    audio: float | None

    def of(self, *, by_audio: bool) -> tuple[float, float]:
        """`low` and `high`; with `by_audio`, both divided by the seconds of its audio."""
        size = self.audio or math.inf if by_audio else 1.0
        return self.low / size, self.high / size


class Estimate:
    """Estimates when a job ends, from the last REMEMBER jobs."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=REMEMBER)
        self._sooner = False  # the last job was done at its first poll already
        self._units: dict[bool, Window] = {}  # by `by_audio`; cleared with each observation

    def __bool__(self) -> bool:
        return bool(self._seen)

    def observe(self, running_at: float, done_at: float, audio: float | None = None) -> None:
        """Learn from a job of `audio` seconds that ran at one poll and was done at the next.

        Both times are seconds since the job began; `running_at` 0: no poll found it running.
        """
        low, sooner = running_at, running_at <= 0.0
        if sooner:
            low = done_at * _UNSEEN
            # One early job in ten is mere variation. Two in a row mean that the server became
            # faster: forget half of the old jobs.
            for _ in range(len(self._seen) // 2 if self._sooner else 0):
                self._seen.popleft()
        self._sooner = sooner
        self._seen.append(_Seen(min(low, done_at), done_at, audio))
        self._units.clear()

    @property
    def typical(self) -> float | None:
        """The median time at which jobs were seen done, in seconds; None before the first one."""
        ends = sorted(seen.high for seen in self._seen)
        return ends[len(ends) // 2] if ends else None

    def window(self, audio: float | None) -> Window | None:
        """When a song of `audio` seconds is likely to end; None before any job has ended."""
        if not self._seen:
            return None
        alike = self._window(1.0, by_audio=False)
        lengths = [seen.audio for seen in self._seen if seen.audio]
        if not audio or len(lengths) < len(self._seen):
            return alike
        by_audio = self._window(audio, by_audio=True)
        if min(lengths) / _FAR <= audio <= max(lengths) * _FAR:
            # The narrower window wins: on a GPU a long song takes longer, in a queue it hardly does
            return min(alike, by_audio, key=lambda one: one.latest / max(one.earliest, 1e-9))
        # Three jingles of 5 s, each done after 40 s, say nothing of a mix of an hour: by its length
        # alone it would first be asked for after eight hours.
        earliest = min(alike.earliest, by_audio.earliest)
        return Window(earliest, max(alike.latest, by_audio.latest))

    def _window(self, size: float, *, by_audio: bool) -> Window:
        if by_audio not in self._units:
            self._units[by_audio] = self._unit(by_audio=by_audio)
        unit = self._units[by_audio]
        return Window(unit.earliest * size, unit.latest * size)

    def _unit(self, *, by_audio: bool) -> Window:
        """The window of a job (or, with `by_audio`, of a second of its audio).

        If all observed intervals overlap, the jobs may all take the same time: the window is their
        overlap, slightly widened. Else the jobs vary, and it spans the middles of the intervals.
        """
        seen = [job.of(by_audio=by_audio) for job in self._seen]
        low, high = max(low for low, _ in seen), min(high for _, high in seen)
        around = (high - low) / (len(seen) + 1)
        if low > high:
            # The true window is wider than the ends seen so far, at each side by their mean
            # distance. Without that margin a third of the next jobs would end after the window.
            middles = [(low + high) / 2 for low, high in seen]
            low, high = min(middles), max(middles)
            around = (high - low) / (len(seen) - 1)
        return Window(max(0.0, low - around), high + around)


def next_step(
    window: Window, elapsed: float, shortest: float, longest: float, coarse: float = 1.0
) -> float:
    """Seconds until the next poll of a job that has been running for `elapsed` seconds.

    The later in its window, the likelier a job ends in the next second. So the steps shrink with
    the square root of the window's rest, which finds ends soonest for a given number of polls.
    After the window a step is as long as the time since its end. `coarse` divides the number of
    polls; `shortest` and `longest` bound the steps.
    """
    if elapsed < window.earliest:
        return max(min(shortest, longest), window.earliest - elapsed)
    left = window.latest - elapsed
    if left <= 0.0:
        return min(longest, max(shortest, -left))
    wide = window.latest - window.earliest
    return min(longest, max(shortest, coarse * _FINENESS * math.sqrt(wide * left)))
