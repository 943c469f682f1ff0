"""Pause and resume: written to the journal, which the service reads at its next look or start."""

from __future__ import annotations

import os
import pwd
import re
import time
from datetime import datetime, timedelta

from stemwatch.config import Settings
from stemwatch.disks.doorbell import ring
from stemwatch.errors import StemwatchError
from stemwatch.journal import pausing
from stemwatch.journal.journal import Journal
from stemwatch.journal.pausing import Order
from stemwatch.journal.schema import JOURNAL
from stemwatch.wiring.submitting_hours import hours_of

_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_PART = re.compile(r"([0-9]+)\s*(d|h|min|m|s)")
_UNITS = {"d": "days", "h": "hours", "min": "minutes", "m": "minutes", "s": "seconds"}


async def pause(settings: Settings, order: Order) -> None:
    """Commit `order`: from then on the service submits nothing. Raises StemwatchError."""
    await _give(settings.state_dir, pausing.written(order))


async def resume(settings: Settings, now: float) -> Order | None:
    """End the pause; returns the one that was in force at `now`, or None."""
    path = os.path.join(settings.state_dir, JOURNAL)
    if not os.path.exists(path):
        return None
    journal = Journal(path)
    try:
        before = pausing.in_force(await journal.fact(pausing.FACT), now)
        await journal.note(pausing.FACT, pausing.NONE)
    finally:
        journal.close()
    ring(settings.state_dir)
    return before


async def _give(state_dir: str, fact: str) -> None:
    try:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
    except OSError as fault:
        raise StemwatchError(
            f"{state_dir} can't be made by uid {os.geteuid()}: {fault.strerror}.",
            hint="Pause as the account that the service runs under; `state_dir` names the folder.",
        ) from fault
    path = os.path.join(state_dir, JOURNAL)
    new = not os.path.exists(path)
    journal = Journal(path)
    try:
        await journal.note(pausing.FACT, fact)
    finally:
        journal.close()
    if new and os.geteuid() == 0:  # the service runs as the folder's owner, and has to open it
        owner = os.stat(state_dir)
        os.chown(path, owner.st_uid, owner.st_gid)
    ring(state_dir)


async def passed_over(settings: Settings, journal: Journal, now: float) -> list[str]:
    """What would hold the service back at `now`, and does not hold a `split`: a line for each."""
    order = pausing.in_force(await journal.fact(pausing.FACT), now)
    by = f" by {order.by}" if order is not None and order.by else ""
    held = [] if order is None else [f"The service is paused{by}; "]
    hours = hours_of(settings).values()
    if hours and all(one.begin(now) is not None for one in hours):
        held.append("These are not the hours of schedule.submit; ")
    return [f"{words}`split` runs now: it is not held back." for words in held]


def person() -> str:
    """The account that gives the order, behind `sudo` too."""
    if os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # containers run under ids without a name
        return f"uid {os.getuid()}"


def end_of(words: str, now: float) -> float:
    """The Unix seconds of `22:00` (the next), `2h`, `1h30m`, or `2026-11-29 22:00`.

    Times are local. Raises ValueError that names the allowed forms, also for a time that is over.
    """
    given = words.strip().lower()
    try:
        end = _at_clock(given, now) or _after(given, now) or _at_date(given)
        datetime.fromtimestamp(end)  # a year that no calendar has is no time
    except (ValueError, OverflowError):
        day = time.strftime("%Y-%m-%d", time.localtime(now))
        raise ValueError(
            f"{words!r} is no time; allowed is 22:00, 2h, 90m, 1h30m or '{day} 22:00'"
        ) from None
    if end <= now:
        raise ValueError(f"{words!r} is over already")
    return end


def _at_clock(given: str, now: float) -> float | None:
    found = _CLOCK.fullmatch(given)
    if found is None:
        return None
    here = datetime.fromtimestamp(now)
    today = here.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
    return next(end for days in (0, 1, 2) if (end := (today + timedelta(days)).timestamp()) > now)


def _at_date(given: str) -> float:
    return datetime.fromisoformat(given).timestamp()


def _after(given: str, now: float) -> float | None:
    parts = _PART.findall(given)
    if not parts or _PART.sub("", given).strip():
        return None
    return now + sum(timedelta(**{_UNITS[unit]: int(n)}).total_seconds() for n, unit in parts)
