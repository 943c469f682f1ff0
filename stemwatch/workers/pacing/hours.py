"""The hours of `schedule.submit`: whether songs may be submitted now, and when that changes. Pure.

Hours are the local clock's. On the day that it is put forward or back, a window still begins and
ends at the moments which those hours had before the change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Hours:
    """`windows`: begin and end in minutes after midnight; `told`: as the configuration has them.

    `key` names the configuration's key.
    """

    windows: Sequence[tuple[int, int]]
    told: str
    key: str = "schedule.submit"

    def begin(self, now: float) -> float | None:
        """When submitting begins; None: it may go on now. Both are Unix seconds."""
        spans = self._spans(now)
        if any(begin <= now < end for begin, end in spans):
            return None
        return min(begin for begin, _ in spans if begin > now)

    def change(self, now: float) -> float:
        """The next moment at which a window begins or ends (Unix seconds)."""
        return min(edge for span in self._spans(now) for edge in span if edge > now)

    def _spans(self, now: float) -> list[tuple[float, float]]:
        """The windows from yesterday's to those of the day after tomorrow."""
        today = datetime.fromtimestamp(now).date()
        return [span for days in (-1, 0, 1, 2) for span in self._of(today + timedelta(days))]

    def _of(self, day: date) -> Iterator[tuple[float, float]]:
        for begin, end in self.windows:
            last = day if begin < end else day + timedelta(1)
            yield _moment(day, begin), _moment(last, end)


def _moment(day: date, minutes: int) -> float:
    # Naive on purpose: it gets the UTC offset of that hour, also on the day the offset changes.
    midnight = datetime(day.year, day.month, day.day)
    return (midnight + timedelta(minutes=minutes)).timestamp()
