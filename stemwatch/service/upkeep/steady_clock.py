"""Whether the wall clock may say that a file is old: one that has leapt may not, for a day.

A machine that starts with a wrong date, such as 2099 before NTP has set it, would find every
archived original too old and delete it.
"""

from __future__ import annotations

from dataclasses import dataclass

from stemwatch.journal.journal import Journal
from stemwatch.log import log

FACT = "steady clock"
LEAP = 30 * 86_400.0  # seconds from where the clock was when somebody last looked at it
DAY = 86_400.0  # seconds for which it is watched after a leap
_SELDOM = 3600.0  # between notes: an idle service writes little


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the clock showed after its last leap (0: none is known), and last; Unix seconds."""

    leapt: float
    last: float


async def is_steady(journal: Journal, now: float) -> bool:
    """Whether the wall clock (`now`, Unix seconds) has not leapt within a day.

    It is kept in the journal, so that a leap between two runs is seen. A machine that was off for a
    month looks like one whose clock has leapt, and waits for that day, too. Each leap is logged.
    """
    seen = _read(await journal.fact(FACT))
    if seen is None:
        seen = _Seen(0.0, now)
        await _write(journal, seen)
    elif abs(now - seen.last) > LEAP:
        _tell(now - seen.last)
        seen = _Seen(now, now)
        await _write(journal, seen)
    elif abs(now - seen.last) >= _SELDOM:
        await _write(journal, _Seen(seen.leapt, now))
    return now - seen.leapt >= DAY


def _tell(leap: float) -> None:
    days = round(leap / DAY)
    log.warning(
        "archive.waits",
        message=f"The clock decides what is too old for the archive, and it moved by {days} days.",
        hint="Nothing is deleted there until it has gone on for a day (folders.keep_archive_days).",
        days=days,
    )


async def _write(journal: Journal, seen: _Seen) -> None:
    await journal.note(FACT, f"{seen.leapt:.0f} {seen.last:.0f}")


def _read(fact: str | None) -> _Seen | None:
    try:
        leapt, last = map(float, (fact or "").split())
    except ValueError:
        return None
    return _Seen(leapt, last)
