"""Parses what a server says of rate limits, Retry-After and dates. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

LONGEST_WAIT = 3600.0  # seconds; with a longer Retry-After, we ask again after an hour


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait (0 to 3600) by a Retry-After in seconds or as a date; None if unreadable."""
    text = (value or "").strip()
    if re.fullmatch(r"\d{1,18}(\.\d{1,9})?", text, re.ASCII):
        return min(float(text), LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(text)
        # an HTTP-date is GMT by definition, also where it doesn't say so
        moment = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(0.0, moment - now), LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What `X-RateLimit-*` say: requests a minute, how many are left, seconds until a reset."""

    limit: int | None
    remaining: int | None
    resets_in: float | None


def rate_limit(headers: Mapping[str, str], now: float) -> RateLimit | None:
    """Parse `headers` (lower-case names); None where the server says nothing usable."""
    limit = _count(headers.get("x-ratelimit-limit"))
    remaining = _count(headers.get("x-ratelimit-remaining"))
    if limit is None and remaining is None:
        return None
    reset = _count(headers.get("x-ratelimit-reset"))
    wait = None if reset is None else min(max(0.0, reset - now), LONGEST_WAIT)
    return RateLimit(limit or None, remaining, wait)


def _count(value: str | None) -> int | None:
    text = (value or "").strip()
    return int(text) if re.fullmatch(r"\d{1,12}", text, re.ASCII) else None


def unix_seconds(value: Any) -> float | None:
    """An RFC 3339 time, or Unix seconds or milliseconds; None for anything else.

    Years 1 and 1970 are how programs write "no time".
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e14:
        return value / 1000 if value > 1e11 else float(value)
    try:
        moment = datetime.fromisoformat(value)
        unix = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return unix if unix > 0 else None
