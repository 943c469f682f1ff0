"""The history as plain data: delivered songs, or songs that came into quarantine.

`history --json` prints the document (schema `stemwatch.history/1`; every key is always there,
unknown is null, times are RFC 3339 in UTC, `minutes` are of audio):

    schema, generated_at, currency, kind (delivered | quarantined)
    songs of `delivered`     id, name, relpath, inbox, origin, at, bpm, key, folder, minutes,
                             took_seconds (from when it was taken in), paid_minutes, price, reused
    songs of `quarantined`   id, name, relpath, inbox, origin, at, code (of then), state (now),
                             message, hint and path (of now, where it still is in quarantine)

`price` is in `currency`, at the price of the day of delivery. It is null if earlier stems were
reused, and if it is unknown because the job was rebuilt from a sidecar.
"""

from __future__ import annotations

import os
import re
import time
from datetime import datetime, timedelta
from typing import Any

from stemwatch.config import Settings
from stemwatch.job import Job, JobState
from stemwatch.journal.past import Ended
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.journal.schema import JOURNAL
from stemwatch.log import redacted_or_none
from stemwatch.outbox.sidecar import rfc3339

SCHEMA = "stemwatch.history/1"
_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})\s*(min|h|d|w)")

Document = dict[str, Any]


async def history(
    settings: Settings, now: float, *, kind: JobState, since: float, most: int
) -> Document:
    """The document above, newest first. `kind` is delivered or quarantined.

    `since` and `now` are Unix seconds; `most` is the largest number of songs.
    """
    journal = ReadOnlyJournal(os.path.join(settings.state_dir, JOURNAL))
    try:
        found = await journal.ended(kind, since=since, limit=most)
    finally:
        journal.close()
    tell = delivered if kind is JobState.DELIVERED else _quarantined
    return {
        "schema": SCHEMA,
        "generated_at": rfc3339(now),
        "currency": settings.budget.currency,
        "kind": str(kind),
        "songs": [tell(one) for one in found],
    }


def delivered(one: Ended) -> Document:
    """The entry of a delivered song, as in the document above."""
    job, reused = one.job, one.note.startswith("reused from ")
    return {
        **_song(job, one.at),
        "bpm": job.bpm,
        "key": redacted_or_none(job.key),
        "folder": redacted_or_none(job.delivered_to),
        "minutes": None if job.duration is None else round(job.duration / 60, 3),
        "took_seconds": round(max(0.0, one.at - job.created_at), 1),
        "paid_minutes": round(one.minutes, 3) if one.minutes else None,
        "price": _price(one),
        "reused": reused,
    }


def _price(one: Ended) -> float | None:
    """The price that was booked; 0 for stem files, and songs separated here: none is booked."""
    if one.minutes:
        return round(one.price, 4)
    free = one.job.at_hand or one.job.content_key.endswith(":local")
    mine = free and not one.note
    return 0.0 if mine else None


def _quarantined(one: Ended) -> Document:
    job = one.job
    there = job.state is JobState.QUARANTINED
    return {
        **_song(job, one.at),
        "code": one.note or job.code,
        "state": str(job.state),
        "message": redacted_or_none(job.message) if there else None,
        "hint": redacted_or_none(job.hint) if there else None,
        "path": redacted_or_none(job.filed_to or job.path) if there else None,
    }


def _song(job: Job, at: float) -> Document:
    return {
        "id": job.id,
        "name": redacted_or_none(job.name),
        "relpath": redacted_or_none(job.relpath),
        "inbox": job.inbox,
        "origin": job.origin,
        "at": rfc3339(at),
    }


def moment(words: str, now: float) -> float:
    """The Unix seconds of a time in words: `7d` (ago), `2h`, `today`, `2026-11-29 22:00`.

    Times are local. Raises ValueError that names the allowed forms.
    """
    given, here = words.strip().lower(), datetime.fromtimestamp(now)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    if given in ("today", "yesterday"):
        return (midnight - timedelta(days=given == "yesterday")).timestamp()
    try:
        if ago := _AGO.fullmatch(given):
            return (here - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).timestamp()
        return datetime.fromisoformat(words.strip()).timestamp()
    except (ValueError, OverflowError):
        example = time.strftime("%Y-%m-%d", time.localtime(now))
        raise ValueError(
            f"{words!r} is no time; allowed is 30min, 12h, 7d, 2w, today, yesterday or a date "
            f"such as {example} or '{example} 22:00'"
        ) from None
