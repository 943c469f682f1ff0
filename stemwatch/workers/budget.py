"""The owner's money: how many minutes may still be spent today and this month, and until when.

Days and months are the calendar's, in local time, as on a bill.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from stemwatch.journal.journal import Journal, Limit


def start_of_day(now: float) -> float:
    """Local midnight before `now`; Unix seconds."""
    return _midnight(datetime.fromtimestamp(now).astimezone()).timestamp()


def start_of_month(now: float) -> float:
    return _midnight(datetime.fromtimestamp(now).astimezone().replace(day=1)).timestamp()


def next_day(now: float) -> float:
    """The next local midnight (a day may have 23 or 25 hours)."""
    day = datetime.fromtimestamp(start_of_day(now)).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day).astimezone().timestamp()


def next_month(now: float) -> float:
    first = datetime.fromtimestamp(start_of_month(now)).date()
    later = (first + timedelta(days=32)).replace(day=1)
    return datetime(later.year, later.month, later.day).astimezone().timestamp()


def _midnight(moment: datetime) -> datetime:
    # Naive on purpose: the offset is that of the midnight itself, also on the day it changes.
    return datetime(moment.year, moment.month, moment.day).astimezone()


@dataclass(frozen=True, slots=True)
class Left:
    """Minutes of audio that may still be submitted; None means no limit."""

    minutes: float | None
    until: float | None  # Unix seconds: when there will be more
    key: str = ""  # the configuration key that sets this limit


class Budget:
    """`per_day`, `per_month`: minutes of audio, None for no limit. `price`: per minute."""

    def __init__(self, *, price: float, per_day: float | None, per_month: float | None) -> None:
        self.price = price
        self.per_day = per_day
        self.per_month = per_month

    def limits(self, now: float) -> list[Limit]:
        """What an intent must stay within, for the journal to check in its transaction."""
        found = []
        if self.per_day is not None:
            found.append(Limit(start_of_day(now), self.per_day))
        if self.per_month is not None:
            found.append(Limit(start_of_month(now), self.per_month))
        return found

    async def left(self, journal: Journal, now: float) -> Left:
        """The tightest of the limits, with the time at which it is renewed."""
        tightest = Left(None, None)
        for allowed, since, until, key in (
            (self.per_day, start_of_day(now), next_day(now), "budget.minutes_per_day"),
            (self.per_month, start_of_month(now), next_month(now), "budget.minutes_per_month"),
        ):
            if allowed is None:
                continue
            minutes = max(0.0, allowed - (await journal.spent(since))[0])
            if tightest.minutes is None or minutes <= tightest.minutes:
                tightest = Left(minutes, until, key)
        return tightest
