"""Whether the wall clock is trusted to call a file old: not for a day after a jump.

A machine that starts with a wrong date, such as 2099 before NTP has set it, would find every
archived original too old and delete it.
"""

from __future__ import annotations

from dataclasses import dataclass

from stemwatch.journal.journal import Journal
from stemwatch.log import log

FACT = "steady clock"
JUMP = 30 * 86_400.0  # seconds from where the clock was when somebody last looked at it
DAY = 86_400.0  # seconds for which it is watched after a jump
_SELDOM = 3600.0  # between notes: an idle service writes little


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the clock showed after its last jump (0: none is known), and last; Unix seconds."""

    jumped: float
    last: float


async def is_steady(journal: Journal, now: float) -> bool:
    """Whether the wall clock (`now`, Unix seconds) has not jumped within a day.

    It is kept in the journal, so that a jump between two runs is seen. A machine that was off for a
    month looks like one whose clock has jumped, and waits for that day, too. Each jump is logged.
    """
    seen = _read(await journal.fact(FACT))
    if seen is None:
        seen = _Seen(0.0, now)
        await _write(journal, seen)
    elif abs(now - seen.last) > JUMP:
        _tell(now - seen.last)
        seen = _Seen(now, now)
        await _write(journal, seen)
    elif abs(now - seen.last) >= _SELDOM:
        await _write(journal, _Seen(seen.jumped, now))
    return now - seen.jumped >= DAY


def _tell(jump: float) -> None:
    days = round(jump / DAY)
    log.warning(
        "archive.waits",
        message=f"The clock decides what is too old for the archive, and it moved by {days} days.",
        hint="Nothing is deleted there until it has gone on for a day (folders.keep_archive_days).",
        days=days,
    )


async def _write(journal: Journal, seen: _Seen) -> None:
    await journal.note(FACT, f"{seen.jumped:.0f} {seen.last:.0f}")


def _read(fact: str | None) -> _Seen | None:
    try:
        jumped, last = map(float, (fact or "").split())
    except ValueError:
        return None
    return _Seen(jumped, last)
