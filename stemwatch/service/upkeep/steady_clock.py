"""Whether the wall clock may say that a file is old: one that has leapt may not, for a day.

A machine that starts with a wrong date, such as 2099 before NTP has set it, would find every
archived original too old and delete it.
"""

from __future__ import annotations

from dataclasses import dataclass

from stemwatch.journal.journal import Journal
from stemwatch.log import log

FACT = "steady clock"
DAY = 86400.0  # the leap that is one; and how long the clock is watched after it
_SELDOM = 3600.0  # between notes: an idle service writes little


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the clock showed first since its last leap, and last; Unix seconds."""

    first: float
    last: float

    def leads_to(self, now: float) -> bool:
        return abs(now - self.last) <= DAY


async def is_steady(journal: Journal, now: float) -> bool:
    """Whether the wall clock (`now`, Unix seconds) has gone on without a leap for a day.

    Call it regularly: time in which nobody called is a leap if it was longer than a day. It is kept
    in the journal, so that a restart is none. Each leap is logged once.
    """
    seen = _read(await journal.fact(FACT))
    if seen is None or not seen.leads_to(now):
        _tell(seen, now)
        seen = _Seen(now, now)
        await _write(journal, seen)
    elif abs(now - seen.last) >= _SELDOM:
        await _write(journal, _Seen(seen.first, now))
    return now - seen.first >= DAY


def _tell(seen: _Seen | None, now: float) -> None:
    days = None if seen is None else round((now - seen.last) / DAY, 1)
    why = "it was not watched before" if days is None else f"it is {days} days from where it was"
    tell = log.info if days is None else log.warning
    tell(
        "archive.waits",
        message=f"The clock decides what is too old for the archive, and {why}.",
        hint="Nothing is deleted there until it has gone on for a day (folders.keep_archive_days).",
        days=days,
    )


async def _write(journal: Journal, seen: _Seen) -> None:
    await journal.note(FACT, f"{seen.first:.0f} {seen.last:.0f}")


def _read(fact: str | None) -> _Seen | None:
    try:
        first, last = map(float, (fact or "").split())
    except ValueError:
        return None
    return _Seen(first, last)
