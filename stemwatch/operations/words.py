"""Words for numbers: things that are counted, minutes of credit. Pure."""

from __future__ import annotations

import math

LITTLE = 60.0  # seconds: less credit is worth a warning
_WITHOUT_END = 5e8  # seconds: a server without accounts, such as ours, reports more than this


def counted(count: int, noun: str) -> str:
    """`1 song`, `2 songs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def minutes(seconds: float) -> str:
    """`seconds` of credit in words, such as `54.2 minutes`; rounded down, to promise no more."""
    if seconds >= _WITHOUT_END:
        return "any number of minutes"
    tenths = math.floor(seconds / 6.0)
    return f"{tenths / 10:g} minute{'' if tenths == 10 else 's'}"
