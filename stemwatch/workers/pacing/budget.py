"""The owner's budget: minutes of audio that may still be submitted today and this month.

Days and months are the calendar's, in local time, as on a bill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from stemwatch.job import Job
from stemwatch.journal.journal import Journal, Limit


def start_of_day(now: float) -> float:
    """The last local midnight at or before `now`. Both are Unix seconds."""
    return _midnight(datetime.fromtimestamp(now).astimezone()).timestamp()


def start_of_month(now: float) -> float:
    return _midnight(datetime.fromtimestamp(now).astimezone().replace(day=1)).timestamp()


def next_day(now: float) -> float:
    """The next local midnight, in Unix seconds. A day may have 23 or 25 hours."""
    day = datetime.fromtimestamp(start_of_day(now)).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day).astimezone().timestamp()


def next_month(now: float) -> float:
    first = datetime.fromtimestamp(start_of_month(now)).date()
    later = (first + timedelta(days=32)).replace(day=1)
    return datetime(later.year, later.month, later.day).astimezone().timestamp()


def _midnight(moment: datetime) -> datetime:
    # Naive on purpose: it gets the UTC offset of midnight, also on the day the offset changes.
    return datetime(moment.year, moment.month, moment.day).astimezone()


@dataclass(frozen=True, slots=True)
class Allowance:
    """Minutes of audio that may still be submitted; None means no limit."""

    minutes: float | None
    until: float | None  # Unix seconds: when there will be more
    key: str = ""  # the configuration key that sets this limit


class Budget:
    """`per_day` and `per_month` are minutes of audio, None for no limit. `price` is per minute.

    `inbox` names the inbox whose songs are counted; None counts all songs. `own` holds the budgets
    of single inboxes by name: a song must stay within the budget of all and its inbox's own.
    """

    def __init__(
        self,
        *,
        price: float,
        per_day: float | None,
        per_month: float | None,
        inbox: str | None = None,
        own: Mapping[str, Budget] = MappingProxyType({}),
    ) -> None:
        self.price = price
        self.per_day = per_day
        self.per_month = per_month
        self._inbox = inbox
        self._own = own

    @property
    def limited(self) -> bool:
        """Whether there is any limit, here or in an inbox's own budget."""
        mine = self.per_day is not None or self.per_month is not None
        return mine or any(one.limited for one in self._own.values())

    @property
    def inboxes(self) -> list[str]:
        """The inboxes that have limits of their own."""
        return [name for name, one in self._own.items() if one.limited]

    def limits(self, now: float, inbox: str | None = None) -> list[Limit]:
        """The limits on a submission from `inbox`; the journal checks them in its transaction."""
        found = []
        for one in self._both(inbox):
            if one.per_day is not None:
                found.append(Limit(start_of_day(now), one.per_day, one._inbox))
            if one.per_month is not None:
                found.append(Limit(start_of_month(now), one.per_month, one._inbox))
        return found

    async def left(self, journal: Journal, now: float, inbox: str | None = None) -> Allowance:
        """What the tightest limit leaves, with the time at which that limit is renewed."""
        tightest = Allowance(None, None)
        for one in self._both(inbox):
            left = await one._left(journal, now)
            if left.minutes is not None and (
                tightest.minutes is None or left.minutes <= tightest.minutes
            ):
                tightest = left
        return tightest

    async def affordable(
        self, journal: Journal, now: float, inbox: str | None, uploading: Iterable[Job] = ()
    ) -> float | None:
        """Seconds of audio that may be submitted from `inbox`; None for no limit.

        The songs in `uploading` are not booked yet: they are subtracted.
        """
        found = []
        for one in self._both(inbox):
            if (left := (await one._left(journal, now)).minutes) is not None:
                jobs = (job for job in uploading if one._inbox in (None, job.inbox))
                found.append(max(0.0, left * 60.0 - sum(job.duration or 0.0 for job in jobs)))
        return min(found, default=None)

    def of(self, inbox: str | None) -> Budget:
        """The budget of this inbox; the budget of all songs where the inbox has none of its own."""
        return self._both(inbox)[-1]

    def _both(self, inbox: str | None) -> list[Budget]:
        own = None if inbox is None else self._own.get(inbox)
        return [self] if own is None else [self, own]

    async def _left(self, journal: Journal, now: float) -> Allowance:
        tightest = Allowance(None, None)
        section = "budget" if self._inbox is None else f"inboxes.{self._inbox}.budget"
        for allowed, since, until, key in (
            (self.per_day, start_of_day(now), next_day(now), "minutes_per_day"),
            (self.per_month, start_of_month(now), next_month(now), "minutes_per_month"),
        ):
            if allowed is None:
                continue
            minutes = max(0.0, allowed - (await journal.spent(since, self._inbox))[0])
            if tightest.minutes is None or minutes <= tightest.minutes:
                tightest = Allowance(minutes, until, f"{section}.{key}")
        return tightest
