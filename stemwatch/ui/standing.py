"""`status` for people: what `operations.standing` found, as lines, one subject each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from stemwatch.operations.credit_words import LITTLE, minutes
from stemwatch.outbox.sidecar import unix
from stemwatch.ui import text
from stemwatch.ui.plain import QUEUE

Document = dict[str, Any]
_LISTED = 20  # quarantined or waiting songs that are named one by one
_NAMED = 3  # of an interrupted `split`
_BOLD, _GOOD, _BAD, _WARN, _DIM = "bold", "green", "bold red", "yellow", "dim"


def lines(document: Document, now: float) -> Iterator[Text]:
    """The whole picture; empty subjects are left out."""
    yield from _service(document, now)
    yield from _queue(document)
    yield from _interrupted(document)
    yield from _running(document, now)
    yield from _pauses(document, now)
    yield from _budget(document, now)
    yield from _credit(document, now)
    yield from _inboxes(document, now)
    yield from _waiting(document, now)
    yield from _unfiled(document, now)
    yield from _unreadable(document)
    yield from _quarantined(document, now)


def _service(document: Document, now: float) -> Iterator[Text]:
    service, watcher = document["service"], document["watcher"]
    if service["running"]:
        since = unix(service["started_at"])
        started = f", started {text.when(since, now)}" if since is not None else ""
        yield Text(f"Service: running (pid {service['pid']}{started})", style=_GOOD)
    else:
        yield Text("Service: not running (`stemwatch run` starts it)", style=_WARN)
    if watcher:
        reason = f": {watcher['reason']}" if watcher.get("reason") else ""
        ill = "" if watcher.get("healthy") else " (being rebuilt)"
        yield Text(f"Watcher: {watcher.get('mode')}{ill}{reason}")
    if not document["journal"]:
        yield Text("No journal yet: nothing has been dropped so far.")


def _queue(document: Document) -> Iterator[Text]:
    yield Text(f"Queue: {_counts(document['queue'])}")


def _interrupted(document: Document) -> Iterator[Text]:
    found = document["interrupted"]
    if found:
        names = ", ".join(job["name"] for job in found[:_NAMED])
        more = ", ..." if len(found) > _NAMED else ""
        yield Text(
            f"  {_many(found, 100)} of an interrupted `stemwatch split` ({names}{more}): "
            "run it again to go on",
            style=_WARN,
        )


def _counts(queue: Document) -> str:
    parts = [f"{queue[state]} {state}" for state in QUEUE if queue[state]] or ["empty"]
    done = f"; {queue['done']} done" if queue["done"] else ""
    return f"{', '.join(parts)}{done}"  # gone: taken back, forgotten or looked at again


def _inboxes(document: Document, now: float) -> Iterator[Text]:
    """Each of several; the single one is what all the rest tells of."""
    for inbox in document["inboxes"]:
        if inbox["name"] is None:
            return
        yield Text(f"Inbox {inbox['name']}: {_counts(inbox['queue'])}")
        if document["separates"] != "local":
            yield Text(f"  Spent: {_spent(inbox['budget'])}")
            yield from _holding(inbox["budget"], now)


def _running(document: Document, now: float) -> Iterator[Text]:
    for one in document["running"]:
        entry = {**one, "since": unix(one["since"])}
        yield Text(f"  {one['name']}: {one['stage']}, {text.amount(entry, now)}")


def _pauses(document: Document, now: float) -> Iterator[Text]:
    for pause in document["pauses"]:
        again = unix(pause["next_try"])
        tried = f" Next try {text.when(again, now)}." if again is not None else ""
        whose = f", {pause['inbox']}" if pause["inbox"] is not None else ""
        yield Text(f"Paused ({pause['code']}{whose}): {pause['message']}{tried}", style=_BAD)
        if pause["hint"]:
            yield Text(f"  {pause['hint']}")


def _budget(document: Document, now: float) -> Iterator[Text]:
    if document["separates"] == "local":
        yield Text("Spent: nothing, this machine separates.")
        return
    yield Text(f"Spent: {_spent(document['budget'])}")
    yield from _holding(document["budget"], now)


def _spent(budget: Document) -> str:
    parts = []
    for name in ("today", "month"):
        spent = budget[name]
        limit = f" of {spent['limit']:g}" if spent["limit"] is not None else ""
        label = "today" if name == "today" else "this month"
        price = text.money(spent["price"], budget["currency"])
        parts.append(f"{spent['minutes']:.2f}{limit} min {label} ({price})")
    return ", ".join(parts)


def _holding(budget: Document, now: float) -> Iterator[Text]:
    holding = budget["holding"]
    if holding:
        until = unix(holding["until"])
        end = f" until {text.when(until, now)}" if until is not None else ""
        files = "1 file waits" if holding["files"] == 1 else f"{holding['files']} files wait"
        yield Text(f"  {files}{end}: the limit is {holding['key']}.", style=_WARN)


def _credit(document: Document, now: float) -> Iterator[Text]:
    credit = document["credit"]
    if credit and credit["seconds"] is not None:
        at = unix(credit["at"])
        moment = f" ({text.when(at, now)})" if at is not None else ""
        style = _WARN if credit["seconds"] < LITTLE else ""
        yield Text(f"Credit: {minutes(credit['seconds'])} left{moment}", style=style)


def _waiting(document: Document, now: float) -> Iterator[Text]:
    waiting = document["waiting"]
    if waiting:
        yield Text(f"Waiting for another try: {_many(waiting, 100)}")
    for job in waiting[:_LISTED]:
        due = unix(job["not_before"])
        moment = f" until {text.when(due, now)}" if due is not None else ""
        yield Text(f"  {job['id']} {job['name']}{moment}: {job['message'] or job['code'] or '?'}")
    yield from _more(waiting)


def _unfiled(document: Document, now: float) -> Iterator[Text]:
    unfiled = document["unfiled"]
    if unfiled:
        yield Text(f"Can't be moved from the inbox: {_many(unfiled, 100)}", style=_BAD)
    for job in unfiled[:_LISTED]:
        again = unix(job["next_try"])
        tried = f" Next try {text.when(max(again, now), now)}." if again is not None else ""
        yield Text(f"  {job['id']} {job['name']} ({job['state']}): {job['message']}{tried}")
        if job["hint"]:
            yield Text(f"    {job['hint']}", style=_DIM)
    yield from _more(unfiled)


def _unreadable(document: Document) -> Iterator[Text]:
    unreadable = document["unreadable"]
    if unreadable:
        yield Text(f"Can't be read: {len(unreadable)}", style=_BAD)
    for one in unreadable[:_LISTED]:
        yield Text(f"  {one['path']}: {one['message']}")
    yield from _more(unreadable)


def _quarantined(document: Document, now: float) -> Iterator[Text]:
    quarantined = document["quarantined"]
    if quarantined:
        yield Text(f"Quarantine: {len(quarantined)}", style=_BAD)
    for job in quarantined[:_LISTED]:
        yield from of_quarantined(job, now)
    yield from _more(quarantined)


def of_quarantined(job: Document, now: float) -> Iterator[Text]:
    """What happened to one song, and the command that resolves it."""
    since = unix(job["since"])
    moment = f", {text.when(since, now)}" if since is not None else ""
    head = f"  {job['id']} {job['name']} ({job['code']}{moment})"
    yield Text(f"{head}: {job['message']}", style=_BOLD)
    charged = "  # it may be charged again" if job["may_be_charged_again"] else ""
    yield Text(f"    {job['retry']}{charged}")
    if job["hint"]:
        yield Text(f"    {job['hint']}", style=_DIM)


def _more(found: list[Any]) -> Iterator[Text]:
    if len(found) > _LISTED:
        yield Text(f"  and {len(found) - _LISTED} more (all with `--json`)")


def _many(found: list[Any], most: int) -> str:
    return f"{len(found)} or more" if len(found) >= most else str(len(found))
