"""How the service stands: one plain document from the journal, the lock and the status file.

`status --json` prints it as it is; `ui.standing` draws it. Keys (schema `stemwatch.status/1`; every
key is always there, unknown is null, times are RFC 3339 in UTC, durations and limits in minutes of
audio):

    schema, generated_at, journal (false: there is none yet), separates (api | local)
    service      running, pid, version, started_at
    watcher      null, or mode, reason, healthy, rebuilds, scans
    queue        a count for each state of `job.JobState`
    slots        null, or held, limit
    running      id, name, stage, done, total, unit (bytes | seconds | share), since
    pauses       code, message, hint, inbox (whose; null: everybody's), next_try
    budget       price_per_minute, currency, today and month (minutes, price, limit, renewed_at),
                 left, holding: null, or files, until, key
    credit       null, or seconds (left at the API), at (when it said so)
    inboxes      name (null: the single one), inbox, outbox, watcher, queue, budget, each as above
    waiting      id, name, state, not_before, code, message, hint (the soonest first, at most 100)
    unfiled      id, name, relpath, path, inbox, state, code, message, hint, tries, next_try: songs
                 whose original can't be moved to where it belongs (at most 100)
    interrupted  id, name, path, outbox, state: what a `split` left that runs no more (at most 100)
    quarantined  id, name, relpath, path, origin, inbox, code, message, hint, since, retry,
                 may_be_charged_again
    unreadable   path, message

No key and no URL is in it. Names and paths are text that can be printed: what is not UTF-8, or
would move a cursor, is escaped.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

from stemwatch.config import Settings
from stemwatch.disks import lock
from stemwatch.errors import StemwatchError
from stemwatch.job import Job, JobState
from stemwatch.journal.journal import Journal
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.journal.schema import JOURNAL
from stemwatch.log import redacted
from stemwatch.outbox.sidecar import rfc3339
from stemwatch.wiring.spending import budget_of, spending
from stemwatch.workers import progress

SCHEMA = "stemwatch.status/1"
UNCONFIRMED = "submission_unconfirmed"
_WAITING = 100

Document = dict[str, Any]


async def standing(settings: Settings, now: float) -> Document:
    """The document above. Raises StemwatchError for a journal or a folder that can't be read."""
    path = os.path.join(settings.state_dir, JOURNAL)
    running, snapshot = service(settings.state_dir)
    live = snapshot if running and snapshot is not None else {}
    limits = budget_of(settings)
    journal = ReadOnlyJournal(path)
    try:
        return {
            "schema": SCHEMA,
            "generated_at": rfc3339(now),
            "journal": os.path.exists(path),
            "separates": "local" if settings.local else "api",
            "service": {
                "running": running,
                "pid": live.get("pid") or (_holder(settings.state_dir) if running else None),
                "version": live.get("version"),
                "started_at": _time(live.get("started_at")),
            },
            "watcher": _texts(live.get("watcher")) or None,
            "queue": await journal.counts(),
            "slots": live.get("slots") or None,
            "running": [_running(entry) for entry in live.get("running", [])],
            "pauses": [_pause(entry) for entry in live.get("pauses", [])],
            "budget": {
                **await spending(limits, journal, now),
                "currency": settings.budget.currency,
            },
            "credit": _credit(live.get("credit")),
            "inboxes": await _inboxes(settings, journal, live, now),
            "waiting": [_waiting(job) for job in await journal.waiting(now, _WAITING)],
            "unfiled": [_unfiled(job) for job in await journal.unfiled(_WAITING)],
            "interrupted": await _interrupted(settings.state_dir, journal),
            "quarantined": [listed(job) async for job in quarantined(journal)],
            "unreadable": [_texts(entry) for entry in live.get("unreadable", [])],
        }
    finally:
        journal.close()


def service(state_dir: str) -> tuple[bool, dict[str, Any] | None]:
    """Is a service alive here, and the last status that it wrote (None: none of this one)."""
    try:
        running = lock.is_held(os.path.join(state_dir, lock.SERVICE))
    except OSError as fault:
        raise StemwatchError(
            f"{state_dir} can't be read by uid {os.geteuid()}: {fault.strerror}.",
            hint="Ask as the account that the service runs under.",
        ) from fault
    snapshot = progress.read(state_dir) if running else None
    # What a killed service left behind is not the word of the one that runs now.
    if snapshot is not None and snapshot.get("pid") != _holder(state_dir):
        snapshot = None
    return running, snapshot


async def quarantined(journal: Journal) -> AsyncIterator[Job]:
    """Every job in quarantine, oldest first, a page at a time."""
    after = 0
    while page := await journal.in_states((JobState.QUARANTINED,), after=after):
        for job in page:
            yield job
        after = page[-1].id


async def _inboxes(
    settings: Settings, journal: ReadOnlyJournal, live: Mapping[str, Any], now: float
) -> list[Document]:
    """Each inbox in the file's order, with what is there of it."""
    watchers = {entry.get("name"): entry.get("watcher") for entry in live.get("inboxes", [])}
    counts: dict[str | None, dict[str, int]] = {None: await journal.counts()}
    if settings.inboxes:
        counts = await journal.counts_by_inbox()
    limits = budget_of(settings)
    return [
        {
            "name": inbox.name,
            **_texts({"inbox": inbox.folders.inbox, "outbox": inbox.folders.outbox}),
            "watcher": _texts(watchers.get(inbox.name)) or None,
            "queue": {str(state): 0 for state in JobState} | counts.get(inbox.name, {}),
            "budget": {
                **await spending(limits, journal, now, inbox.name),
                "currency": settings.budget.currency,
            },
        }
        for inbox in settings.every_inbox
    ]


async def _interrupted(state_dir: str, journal: ReadOnlyJournal) -> list[Document]:
    """What goes on only when somebody runs the same `split` again."""
    jobs = await journal.of_splits(_WAITING)
    alive = {
        owner: lock.is_held(lock.of_owner(state_dir, owner)) for owner in {j.owner for j in jobs}
    }
    fields = ("id", "name", "path", "outbox")
    return [
        _texts({name: getattr(job, name) for name in fields} | {"state": str(job.state)})
        for job in jobs
        if not alive[job.owner]
    ]


def _credit(entry: Mapping[str, Any] | None) -> Document | None:
    return {"seconds": entry.get("seconds"), "at": _time(entry.get("at"))} if entry else None


def _running(entry: Mapping[str, Any]) -> Document:
    stage, total = entry.get("stage"), entry.get("total")
    unit = "bytes"
    if stage == progress.SEPARATING:
        unit = "share" if total == 1.0 else "seconds"  # a server may say how far it is
    return {
        "id": entry.get("id"),
        "name": redacted(str(entry.get("name"))),
        "stage": stage,
        "done": entry.get("done"),
        "total": total,
        "unit": unit,
        "since": _time(entry.get("since")),
    }


def _pause(entry: Mapping[str, Any]) -> Document:
    texts = _texts({name: entry.get(name) for name in ("code", "message", "hint")})
    return {**texts, "inbox": entry.get("inbox"), "next_try": _time(entry.get("next_try"))}


def _waiting(job: Job) -> Document:
    return _texts(
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


def _unfiled(job: Job) -> Document:
    """Its own `code`, where it is in quarantine, is told there."""
    code, message, hint, tries = job.unfiled or (None, None, None, 0)
    return _texts(
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


def listed(job: Job) -> Document:
    """One job in quarantine, as the document lists it."""
    return _texts(
        {
            "id": job.id,
            "name": job.name,
            "relpath": job.relpath,
            "path": job.filed_to or job.path,
            "origin": job.origin,
            "inbox": job.inbox,
            "code": job.code,
            "message": job.message,
            "hint": job.hint,
            "since": rfc3339(job.updated_at),
            "retry": f"stemwatch retry {job.id}",
            "may_be_charged_again": job.code == UNCONFIRMED,
        }
    )


def _texts(entry: Mapping[str, Any] | None) -> Document:
    """Every text of it safe to print, also as the reader's own JSON text on a terminal."""
    return {
        name: redacted(value) if isinstance(value, str) else value
        for name, value in (entry or {}).items()
    }


def _time(seconds: object) -> str | None:
    return rfc3339(seconds) if isinstance(seconds, int | float) else None


def _holder(state_dir: str) -> int | None:
    """The process that wrote itself into the lock."""
    try:
        with open(os.path.join(state_dir, lock.SERVICE), encoding="ascii") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return None
