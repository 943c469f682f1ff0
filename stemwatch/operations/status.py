"""The status of the service: one plain document from the journal, the lock and `status.json`.

`status --json` prints it as it is; `ui.standing` draws it. Keys (schema `stemwatch.status/1`; every
key is always there, unknown is null, times are RFC 3339 in UTC, durations and limits in minutes of
audio):

    schema, generated_at, journal (false: there is none yet)
    configuration  the file that this was read from; null: there is none, the defaults
    separates    api | local: what the running service does (`--local`), else the configuration
    engine       what your own server separates with, as a song's answer told it; else null
    device       what that engine computes on (cpu | cuda:0), or null
    service      running, pid, version, started_at, configuration (the file that it was given)
    watcher      null, or mode, reason, healthy, rebuilds, scans
    queue        a count for each state of `job.JobState`
    left_behind  songs that a service which runs no more had submitted: the next start goes on
    next         id, name, relpath, inbox, first (by `stemwatch first`): the queued songs that may
                 be submitted, the next one first (at most 100)
    slots        null, or held, limit
    running      id, name, relpath, inbox, stage, done, total, unit (bytes | seconds | share), since
    remaining    null: nothing to do, paused, or not known; or songs, audio_minutes, seconds (about;
                 null: not known, or nothing can go on now)
    delivered    the last five, newest first, as in `operations.history`
    pauses       code, message, hint, inbox (whose; null: everybody's), next_try (of `on_hold` and
                 `off_hours`: their end), by, via (command | page) and since: of `stemwatch pause`,
                 which is here without a running service too
    budget       price_per_minute, currency, today and month (minutes, price, limit, renewed_at),
                 left, holding: null, or files, until, key
    credit       null, or seconds (left at the API), at (when it said so)
    inboxes      name (null: the single one), inbox, outbox, watcher, queue, budget, each as above,
                 waits: what lies there and is not taken yet, see `operations.standing.not_taken`
    waiting      id, name, state, not_before, code, message, hint (the soonest first, at most 100)
    unfiled      id, name, relpath, path, inbox, state, code, message, hint, tries, next_try: songs
                 whose original can't be moved to where it belongs (at most 100)
    interrupted  id, name, path, outbox, state: what a `split` left that runs no more (at most 100)
    quarantined  newest first: id, name, relpath, path, origin, inbox, code, message, hint, since,
                 retry, may_be_charged_again
    unreadable   path, message

No key and no URL is in it. Names and paths are text that can be printed: what is not UTF-8, or
would move a cursor, is escaped.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stemwatch.codes import Code
from stemwatch.config import Settings
from stemwatch.disks import lock
from stemwatch.errors import StemwatchError
from stemwatch.job import Job, JobState
from stemwatch.journal import pausing
from stemwatch.journal.every import every
from stemwatch.journal.journal import Journal
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.journal.schema import JOURNAL
from stemwatch.log import redacted_or_none
from stemwatch.operations.history import delivered
from stemwatch.operations.standing import entries
from stemwatch.operations.standing.not_taken import not_taken
from stemwatch.operations.standing.time_left import PAST, WAITING, remaining
from stemwatch.outbox.sidecar import rfc3339
from stemwatch.wiring.spending import budget_of, spending
from stemwatch.wiring.submitting_hours import hours_of
from stemwatch.workers import progress

SCHEMA = "stemwatch.status/1"
_DELIVERED = 5

Document = dict[str, Any]


def as_it_runs(settings: Settings, live: Mapping[str, Any]) -> Settings:
    """The settings of the running service, whose status is `live`: it may be `run --local`."""
    if live.get("separates") != "local":
        return settings
    return replace(settings, api=replace(settings.api, base_url="local"))


async def standing(settings: Settings, now: float, earlier: Document | None = None) -> Document:
    """The document above. Raises StemwatchError if the journal or the state folder can't be read.

    If an `earlier` document is given, its lists of the inboxes' files are used: scanning 20,000
    files every second would take a fifth of a core.
    """
    path = os.path.join(settings.state_dir, JOURNAL)
    running, snapshot = service(settings.state_dir)
    live = snapshot if running and snapshot is not None else {}
    settings = as_it_runs(settings, live)
    limits = budget_of(settings)
    journal = ReadOnlyJournal(path)
    try:
        past = await journal.ended(JobState.DELIVERED, limit=PAST + 1)
        spent = await spending(limits, journal, now)
        inboxes = await _inboxes(settings, journal, live, now, earlier)
        started, _, _ = await journal.open_audio()
        return {
            "schema": SCHEMA,
            "generated_at": rfc3339(now),
            "journal": os.path.exists(path),
            "configuration": redacted_or_none(settings.source),
            "separates": live.get("separates") or ("local" if settings.local else "api"),
            "engine": redacted_or_none(live.get("engine")),
            "device": redacted_or_none(live.get("device")),
            "service": {
                "running": running,
                "pid": live.get("pid") or (_holder(settings.state_dir) if running else None),
                "version": live.get("version"),
                "started_at": entries.at(live.get("started_at")),
                "configuration": redacted_or_none(live.get("configuration")),
            },
            "watcher": entries.texts(live.get("watcher")) or None,
            "queue": await journal.counts(),
            "left_behind": 0 if running else len(started),
            "next": [entries.upcoming(job) for job in await _next(live, journal, now)],
            "slots": live.get("slots") or None,
            "running": await _running(live.get("running", []), journal),
            "remaining": await remaining(
                journal,
                live.get("running", []),
                spent["left"],
                past,
                now=now,
                held=sum((one["budget"]["holding"] or {}).get("files", 0) for one in inboxes),
            )
            if live and not live.get("pauses")
            else None,
            "delivered": [delivered(one) for one in past[:_DELIVERED]],
            "pauses": await pauses(live, settings, journal, now),
            "budget": {**spent, "currency": settings.budget.currency},
            "credit": entries.credit(live.get("credit")),
            "inboxes": inboxes,
            "waiting": [entries.waiting(job) for job in await journal.waiting(now, WAITING)],
            "unfiled": [entries.unfiled(job) for job in await journal.unfiled(WAITING)],
            "interrupted": await _interrupted(settings.state_dir, journal),
            "quarantined": [listed(job) for job in await _newest(journal)],
            "unreadable": [entries.texts(entry) for entry in live.get("unreadable", [])],
        }
    finally:
        journal.close()


def is_running(state_dir: str) -> bool:
    """Whether a service runs on this state directory. Raises StemwatchError if it can't be read."""
    try:
        return lock.is_held(os.path.join(state_dir, lock.SERVICE))
    except OSError as fault:
        raise StemwatchError(
            f"{state_dir} can't be read by uid {os.geteuid()}: {fault.strerror}.",
            hint="Ask as the account that the service runs under.",
        ) from fault


def service(state_dir: str) -> tuple[bool, dict[str, Any] | None]:
    """`is_running`, and the last status that the service wrote, or None."""
    running = is_running(state_dir)
    snapshot = progress.read(state_dir) if running else None
    # A status that a killed service left is not that of the service that runs now.
    if snapshot is not None and snapshot.get("pid") != _holder(state_dir):
        snapshot = None
    return running, snapshot


async def _inboxes(
    settings: Settings,
    journal: ReadOnlyJournal,
    live: Mapping[str, Any],
    now: float,
    earlier: Document | None,
) -> list[Document]:
    """The entries of `inboxes`, in the order of the configuration."""
    seen = {inbox["name"]: inbox["waits"] for inbox in (earlier or {}).get("inboxes", [])}
    watchers = {entry.get("name"): entry.get("watcher") for entry in live.get("inboxes", [])}
    counts: dict[str | None, dict[str, int]] = {None: await journal.counts()}
    if settings.inboxes:
        counts = await journal.counts_by_inbox()
    limits = budget_of(settings)
    unseen = [inbox for inbox in settings.every_inbox if not seen.get(inbox.name)]
    looks = (not_taken(settings, inbox, journal, now) for inbox in unseen)
    # Side by side: each disk that hangs costs a person at a terminal seconds.
    seen |= zip((inbox.name for inbox in unseen), await asyncio.gather(*looks), strict=True)
    return [
        {
            "name": inbox.name,
            **entries.texts({"inbox": inbox.folders.inbox, "outbox": inbox.folders.outbox}),
            "watcher": entries.texts(watchers.get(inbox.name)) or None,
            "queue": {str(state): 0 for state in JobState} | counts.get(inbox.name, {}),
            "budget": {
                **await spending(limits, journal, now, inbox.name),
                "currency": settings.budget.currency,
            },
            "waits": seen[inbox.name],
        }
        for inbox in settings.every_inbox
    ]


async def _interrupted(state_dir: str, journal: ReadOnlyJournal) -> list[Document]:
    """Jobs of interrupted `split` runs, which go on only when the same `split` is run again."""
    jobs = await journal.of_splits(WAITING)
    alive = {
        owner: lock.is_held(lock.of_owner(state_dir, owner)) for owner in {j.owner for j in jobs}
    }
    fields = ("id", "name", "path", "outbox")
    return [
        entries.texts({name: getattr(job, name) for name in fields} | {"state": str(job.state)})
        for job in jobs
        if not alive[job.owner]
    ]


async def pauses(
    live: Mapping[str, Any], settings: Settings, journal: Journal, now: float
) -> list[Document]:
    """The running service's pauses; what `stemwatch pause` ordered is read from the journal."""
    order = pausing.in_force(await journal.fact(pausing.FACT), now)
    told = live.get("pauses", []) if live else list(_closed_hours(settings, now))
    others = [entries.pause(entry) for entry in told if entry.get("code") != Code.ON_HOLD]
    return others if order is None else [entries.ordered(order, now), *others]


def _closed_hours(settings: Settings, now: float) -> Iterator[Mapping[str, Any]]:
    """What would hold songs back if the service ran: `run --once` has left them for that reason."""
    for inbox, hours in hours_of(settings).items():
        begin = hours.begin(now)
        if begin is not None:
            message, hint = hours.words(begin, now)
            told = {"code": str(Code.OFF_HOURS), "message": message, "hint": hint}
            yield {**told, "inbox": inbox, "next_try": begin}


async def _newest(journal: ReadOnlyJournal) -> list[Job]:
    """All jobs in quarantine, newest first, since people look for the last ones."""
    jobs = [job async for job in every(journal, (JobState.QUARANTINED,))]
    return sorted(jobs, key=lambda job: (job.updated_at, job.id), reverse=True)


async def _next(live: Mapping[str, Any], journal: ReadOnlyJournal, now: float) -> list[Job]:
    """The queued songs in the order in which they are submitted."""
    busy = [entry["id"] for entry in live.get("running", [])]
    return await journal.claim((JobState.QUEUED,), now=now, owner=None, limit=WAITING, busy=busy)


async def _running(found: Sequence[Mapping[str, Any]], journal: ReadOnlyJournal) -> list[Document]:
    """The entries of `running`, with each song's path, since two songs may have the same name."""
    jobs = await journal.by_ids([entry["id"] for entry in found])
    return [entries.at_work(entry, jobs.get(entry["id"])) for entry in found]


def listed(job: Job) -> Document:
    """The entry of `quarantined` for one job."""
    return entries.texts(
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
            "may_be_charged_again": job.code == Code.SUBMISSION_UNCONFIRMED,
        }
    )


def _holder(state_dir: str) -> int | None:
    """The pid in the lock file, or None."""
    try:
        with open(os.path.join(state_dir, lock.SERVICE), encoding="ascii") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return None
