"""The entries of the lists in `status`, as plain data that is safe to print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemwatch.codes import Code
from stemwatch.job import Job
from stemwatch.journal.pausing import HINT, Order
from stemwatch.log import redacted
from stemwatch.outbox.sidecar import rfc3339
from stemwatch.workers import progress

Document = dict[str, Any]


def pause(entry: Mapping[str, Any]) -> Document:
    words = texts({name: entry.get(name) for name in ("code", "message", "hint")})
    nobody = {"by": None, "via": None, "since": None}
    times = {"inbox": entry.get("inbox"), "next_try": at(entry.get("next_try"))}
    return {**words, **times, **nobody}


def ordered(order: Order, now: float) -> Document:
    """The entry of `pauses` for what `stemwatch pause` ordered."""
    told = {"code": str(Code.ON_HOLD), "message": order.words(now), "hint": HINT, "inbox": None}
    who = {"by": order.by, "via": order.via, "since": at(order.since)}
    return texts({**told, "next_try": at(order.until), **who})


def waiting(job: Job) -> Document:
    return texts(
        {
            "id": job.id,
            "name": job.name,
            "state": str(job.state),
            "not_before": rfc3339(job.not_before),
            "code": job.code,
            "message": job.message,
            "hint": job.hint,
        }
    )


def upcoming(job: Job) -> Document:
    words = {"id": job.id, "name": job.name, "relpath": job.relpath, "inbox": job.inbox}
    return texts({**words, "first": job.first_at is not None})


def unfiled(job: Job) -> Document:
    """An entry of `unfiled`. Its code says why the original was not moved, not why it failed."""
    code, message, hint, tries = job.unfiled or (None, None, None, 0)
    return texts(
        {
            "id": job.id,
            "name": job.name,
            "relpath": job.relpath,
            "path": job.path,
            "inbox": job.inbox,
            "state": str(job.state),
            "code": code,
            "message": message,
            "hint": hint,
            "tries": tries,
            "next_try": rfc3339(job.not_before),
        }
    )


def credit(entry: Mapping[str, Any] | None) -> Document | None:
    return {"seconds": entry.get("seconds"), "at": at(entry.get("at"))} if entry else None


def at_work(entry: Mapping[str, Any], job: Job | None) -> Document:
    stage, total = entry.get("stage"), entry.get("total")
    unit = "bytes"
    if stage == progress.SEPARATING:
        unit = "share" if total == 1.0 else "seconds"  # some servers tell the share that is done
    return {
        "id": entry.get("id"),
        "name": redacted(str(entry.get("name"))),
        "relpath": redacted(str(entry.get("name") if job is None else job.relpath)),
        "inbox": None if job is None else job.inbox,
        "stage": stage,
        "done": entry.get("done"),
        "total": total,
        "unit": unit,
        "since": at(entry.get("since")),
    }


def texts(entry: Mapping[str, Any] | None) -> Document:
    """`entry` with all texts made safe to print, also by a reader who decodes the JSON."""
    return {
        name: redacted(value) if isinstance(value, str) else value
        for name, value in (entry or {}).items()
    }


def at(seconds: object) -> str | None:
    return rfc3339(seconds) if isinstance(seconds, int | float) else None
