"""`status` for people: the document of `operations.status` as lines, one subject each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from stemwatch.codes import Code, rule_of
from stemwatch.operations.words import LITTLE, counted, minutes
from stemwatch.outbox.sidecar import unix
from stemwatch.ui import song_row, status_lists, text, waits
from stemwatch.ui.past_songs import whose
from stemwatch.ui.plain import QUEUE

Document = dict[str, Any]
_NAMED = 3  # songs of an interrupted `split` that are named
_GOOD, _BAD, _WARN, _DIM = "green", "bold red", "yellow", "dim"


class Room(NamedTuple):
    """How much of each subject is shown, always the newest. `width` is in cells."""

    width: int = 80
    unicode: bool = True
    bars: int = 64
    delivered: int = 5
    listed: int = status_lists.MOST
    groups: int = status_lists.GROUPS
    names: bool = False  # also name the songs that are next, and each file that is not taken


# A live view tries these in turn, until its picture fits.
_TIGHTER = (
    Room(bars=12, listed=5),
    Room(bars=8, delivered=3, listed=3, groups=3),
    Room(bars=5, delivered=3, listed=2, groups=2),
    Room(bars=5, delivered=2, listed=1, groups=1),
    Room(bars=3, delivered=2, listed=1, groups=1),
    Room(bars=3, delivered=1, listed=1, groups=1),
    Room(bars=1, delivered=1, listed=0, groups=1),
)


def fitted(document: Document, now: float, console: Console, *, unicode: bool = True) -> list[Text]:
    """The picture in no more rows than the terminal has, since a live view can't be scrolled.

    Each list is cut at its oldest entries.
    """
    width, height = console.size
    found: list[Text] = []
    for less in _TIGHTER:
        room = less._replace(width=width, unicode=unicode)
        found = [row for line in lines(document, now, room) for row in _rows(line, console, width)]
        if len(found) < height:
            return found
    more = f"... {len(found) - height + 2} more lines: `stemwatch status`"
    return [*found[: height - 2], Text(more, style=_DIM)]


def _rows(line: Text, console: Console, width: int) -> list[Text]:
    if line.no_wrap:
        line.truncate(width, overflow="ellipsis")
        return [line]
    return list(line.wrap(console, width))


def lines(document: Document, now: float, room: Room) -> Iterator[Text]:
    """Yield the whole picture as lines; empty subjects are left out. `now` is in Unix seconds."""
    yield from _service(document, now)
    yield from _inbox(document, room)
    yield from _queue(document, room)
    yield from _running(document, now, room)
    yield from _pauses(document, now)
    yield from _interrupted(document)
    yield from _budget(document, now)
    yield from _credit(document, now)
    yield from _inboxes(document, now, room)
    yield from status_lists.delivered(document, now, room.delivered)
    yield from status_lists.quarantined(document, now, room.groups)
    yield from status_lists.unfiled(document, now, room.listed)
    yield from status_lists.unreadable(document, room.listed)
    yield from status_lists.waiting(document, now, room.listed)


def _service(document: Document, now: float) -> Iterator[Text]:
    service, watcher, mine = document["service"], document["watcher"], document["configuration"]
    none = "none was found, so the defaults (`stemwatch init` writes one)"
    yield Text(f"Configuration: {mine or none}")
    if service["running"]:
        since = unix(service["started_at"])
        started = f", started {text.when(since, now)}" if since is not None else ""
        yield Text(f"Service: running (pid {service['pid']}{started}); {_who(document)}", _GOOD)
        theirs = service["configuration"]
        if theirs and mine and os.path.realpath(theirs) != os.path.realpath(mine):
            yield Text(f"  It runs with another configuration: {theirs}", style=_WARN)
    else:
        yield Text("Service: not running (`stemwatch run` starts it)", style=_WARN)
    if watcher:
        reason = f": {watcher['reason']}" if watcher.get("reason") else ""
        ill = "" if watcher.get("healthy") else " (being rebuilt)"
        yield Text(f"Watcher: {watcher.get('mode')}{ill}{reason}")
    if not document["journal"]:
        yield Text("No journal yet: nothing has been dropped so far.")


def _who(document: Document) -> str:
    """Who separates, and with which engine, where our own server has told it."""
    who = "this machine" if document["separates"] == "local" else "the API"
    engine, device = document["engine"], document["device"]
    if engine is None:
        return f"{who} separates"
    return f"{who} separates, engine {engine}" + (f" on {device}" if device else "")


def _inbox(document: Document, room: Room) -> Iterator[Text]:
    """What waits in a single inbox; of several inboxes, `_inboxes` shows each."""
    for inbox in document["inboxes"]:
        if inbox["name"] is None:
            yield from _waits("Inbox", inbox, document, room)


def _waits(head: str, inbox: Document, document: Document, room: Room) -> Iterator[Text]:
    found, running = inbox["waits"], document["service"]["running"]
    style = "" if found["fault"] is None else _BAD
    where = f" {inbox['inbox']}" if found["fault"] is not None else ""
    yield Text(f"{head}:{where} {waits.sentence(found, running=running)}", style=style)
    if room.names:
        yield from (Text(f"  {name}") for name in waits.names(found, running=running))


def _queue(document: Document, room: Room) -> Iterator[Text]:
    seconds = (document["remaining"] or {}).get("seconds")
    about = "" if seconds is None else f"; about {text.span(seconds)} left"
    yield Text(f"Queue: {_counts(document['queue'])}{about}")
    if count := document["left_behind"]:
        one = count == 1
        yield Text(
            f"  {counted(count, 'song')} {'was' if one else 'were'} submitted before the service "
            f"ended: the next start goes on with {'it' if one else 'them'}"
        )
    if room.names:
        yield from status_lists.upcoming(document, room.listed)


def _interrupted(document: Document) -> Iterator[Text]:
    found = document["interrupted"]
    if found:
        names = ", ".join(job["name"] for job in found[:_NAMED])
        more = ", ..." if len(found) > _NAMED else ""
        yield Text(
            f"  {text.many(found, 100)} of an interrupted `stemwatch split` ({names}{more}): "
            "run it again to go on",
            style=_WARN,
        )


def _counts(queue: Document) -> str:
    parts = [f"{queue[state]} {state}" for state in QUEUE if queue[state]] or ["empty"]
    done = f"; {queue['done']} done" if queue["done"] else ""
    return f"{', '.join(parts)}{done}"  # `gone` is left out: taken back, forgotten or read again


def _inboxes(document: Document, now: float, room: Room) -> Iterator[Text]:
    """Lines for each of several inboxes; a single one is what all other lines are about."""
    for inbox in document["inboxes"]:
        if inbox["name"] is None:
            return
        yield Text(f"Inbox {inbox['name']}: {_counts(inbox['queue'])}")
        if inbox["waits"]["count"] or inbox["waits"]["fault"]:
            yield from _waits("  Not taken yet", inbox, document, room)
        if document["separates"] != "local":
            yield Text(f"  Spent: {_spent(inbox['budget'])}")
            yield from _holding(inbox["budget"], now)


def _running(document: Document, now: float, room: Room) -> Iterator[Text]:
    for one in document["running"][-room.bars :]:
        entry = {**one, "since": unix(one["since"]), "name": whose(one)}
        row = song_row.of(entry, room.width - 2, now, unicode=room.unicode)
        line = Text("  ", no_wrap=True)
        yield line.append(row)
    more = len(document["running"]) - room.bars
    if more > 0:
        yield Text(f"  and {more} more under way")


def _pauses(document: Document, now: float) -> Iterator[Text]:
    for pause in document["pauses"]:
        if rule_of(pause["code"]).ordered:
            yield from _ordered(pause, now)
            continue
        again = unix(pause["next_try"])
        tried = f" Next try {text.when(again, now)}." if again is not None else ""
        whose = f", {pause['inbox']}" if pause["inbox"] is not None else ""
        yield Text(f"Paused ({pause['code']}{whose}): {pause['message']}{tried}", style=_BAD)
        if pause["hint"]:
            yield Text(f"  {pause['hint']}")


def _ordered(pause: Document, now: float) -> Iterator[Text]:
    """What a person or the clock holds back: nothing is at fault, and nothing is tried."""
    message = pause["message"]
    if pause["code"] == Code.OFF_HOURS:
        whose = f" of {pause['inbox']}" if pause["inbox"] is not None else ""
        message = f"songs{whose} wait {message}"
    since = unix(pause.get("since"))
    until = unix(pause["next_try"])
    begun = [f"since {text.when(since, now)}"] if since is not None else []
    ends = [f"until {text.when(until, now)}"] if until is not None else []
    moments = ", ".join((*begun, *ends))
    yield Text(f"{message[:1].upper()}{message[1:]}", style=_WARN)
    told = f"{moments[:1].upper()}{moments[1:]}; " if moments else ""
    yield Text(f"  {told}{pause['hint']}")


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
