"""Reading what servers write: one safe line of text, and how long to wait. Pure."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 3600.0  # seconds; a Retry-After beyond it is asked again after an hour
TEXT_LIMIT = 200


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait, from seconds or an HTTP-date, between 0 and an hour; None if unreadable."""
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


def printable(text: str, secret: str | None = None) -> str:
    """One line of at most 200 characters without control or bidi characters, keys or signatures."""
    if secret:
        text = text.replace(secret, "[key]")
    text = re.sub(r"(https?://[^\s?\"'<>]*)\?[^\s\"'<>]*", r"\1?…", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:4000]).split())
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"
