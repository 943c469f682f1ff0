"""Checks of `schedule`: the hours in which songs may be submitted, as `22:00-07:00`."""

from __future__ import annotations

import re
from typing import Any

from stemwatch.config.checks import text

_ALLOWED = "allowed are hours such as '22:00-07:00', or several: '22:00-07:00, 12:00-13:00'"
_WINDOW = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})")

Window = tuple[int, int]  # begin and end in minutes after midnight, local time


def checked_submit(value: Any) -> str:
    """The hours in one form: two digits each, in the order of the file."""
    given = text(value)
    try:
        found = windows(given)
    except ValueError:
        raise ValueError(f"found {given!r}; {_ALLOWED}") from None
    if any(begin == end for begin, end in found):
        raise ValueError(f"found {given!r}, which ends as it begins; null means always")
    return ", ".join(f"{_time(begin)}-{_time(end)}" for begin, end in found)


def windows(submit: str) -> tuple[Window, ...]:
    """The windows of `schedule.submit`; an end before its begin is on the next day."""
    return tuple(_window(part.strip()) for part in submit.split(","))


def _window(part: str) -> Window:
    found = _WINDOW.fullmatch(part)
    if found is None:
        raise ValueError(part)
    begin, end = _minutes(found[1], found[2]), _minutes(found[3], found[4])
    if begin >= 24 * 60 or end > 24 * 60:
        raise ValueError(part)
    return begin, end


def _minutes(hours: str, minutes: str) -> int:
    if int(minutes) >= 60:
        raise ValueError(minutes)
    return 60 * int(hours) + int(minutes)


def _time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
