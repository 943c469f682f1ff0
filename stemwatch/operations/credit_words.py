"""Words for the credit: how many minutes are left, and when that is little. Pure."""

from __future__ import annotations

import math

LITTLE = 60.0  # seconds of credit that are worth a warning
_WITHOUT_END = 5e8  # seconds: a server without any accounts (ours) says more


def minutes(seconds: float) -> str:
    """Credit for people: `54.2 minutes`; rounded down, for nobody likes to be promised more."""
    if seconds >= _WITHOUT_END:
        return "any number of minutes"
    tenths = math.floor(seconds / 6.0)
    return f"{tenths / 10:g} minute{'' if tenths == 10 else 's'}"
