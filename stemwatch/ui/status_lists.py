"""The lists of `status` for people: each song with what to do about it, newest first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from stemwatch.outbox.sidecar import unix
from stemwatch.ui import past_songs, text

Document = dict[str, Any]
MOST = 20  # songs of a list that are named
GROUPS = 5  # reasons of the quarantine that are shown
_NAMED = 3  # songs of one reason that are named
_BOLD, _BAD, _DIM = "bold", "bold red", "dim"


def delivered(document: Document, now: float, most: int) -> Iterator[Text]:
    """Yield the songs delivered last, with their folders."""
    found = document["delivered"][:most]
    if found:
        yield Text("Delivered last:")
    for one in found:
        what = ", ".join((past_songs.tempo(one["bpm"]), one["key"] or "key unknown"))
        line = Text(f"  {_clock(unix(one['at']), now)}  ", no_wrap=True, style=_DIM)
        line.append(past_songs.whose(one), style="green")
        yield line.append(f": {what} -> {one['folder']}", style="")


def _clock(moment: float | None, now: float) -> str:
    if moment is None:
        return "?"
    there, here = time.localtime(moment), time.localtime(now)
    return time.strftime("%H:%M:%S" if there[:3] == here[:3] else "%Y-%m-%d", there)


def waiting(document: Document, now: float, most: int) -> Iterator[Text]:
    """Yield the songs that wait for another try."""
    found = document["waiting"]
    if found:
        yield Text(f"Waiting for another try: {text.many(found, 100)}")
    for job in found[:most]:
        due = unix(job["not_before"])
        moment = f" until {text.when(due, now)}" if due is not None else ""
        yield Text(f"  {job['id']} {job['name']}{moment}: {job['message'] or job['code'] or '?'}")
    yield from _more(len(found), most)


def upcoming(document: Document, most: int) -> Iterator[Text]:
    """Yield the queued songs in their order, by the ids that `first` takes."""
    for job in document["next"][:most]:
        named = ", put first" if job["first"] else ""
        yield Text(f"  {job['id']} {past_songs.whose(job)}{named}")
    yield from _more(len(document["next"]), most)


def unfiled(document: Document, now: float, most: int) -> Iterator[Text]:
    """Yield the songs whose originals can't be moved to where they belong."""
    found = document["unfiled"]
    if found:
        yield Text(f"Can't be moved from the inbox: {text.many(found, 100)}", style=_BAD)
    for job in found[:most]:
        again = unix(job["next_try"])
        tried = f" Next try {text.when(max(again, now), now)}." if again is not None else ""
        yield Text(f"  {job['id']} {job['name']} ({job['state']}): {job['message']}{tried}")
        if job["hint"]:
            yield Text(f"    {job['hint']}", style=_DIM)
    yield from _more(len(found), most)


def unreadable(document: Document, most: int) -> Iterator[Text]:
    """Yield the files and folders that the service can't read."""
    found = document["unreadable"]
    if found:
        yield Text(f"Can't be read: {len(found)}", style=_BAD)
    for one in found[:most]:
        yield Text(f"  {one['path']}: {one['message']}")
    yield from _more(len(found), most)


def quarantined(document: Document, now: float, most: int) -> Iterator[Text]:
    """Yield the songs in quarantine, newest first and grouped by reason; at most `most` reasons."""
    found = document["quarantined"]
    groups: dict[str, list[Document]] = {}
    for job in found:
        groups.setdefault(job["code"], []).append(job)
    if found:
        yield Text(f"Quarantine: {len(found)} (`retry` or `discard`)", style=_BAD)
    shown = list(groups.values())[:most]
    for group in shown:
        yield from of_quarantined(group[0], now) if len(group) == 1 else _group(group, now)
    more = len(found) - sum(map(len, shown))
    if more:
        yield Text(f"  and {more} more (`stemwatch retry` lists all of them)")


def _group(jobs: list[Document], now: float) -> Iterator[Text]:
    """Several songs with the same reason, with the message of the newest."""
    newest = jobs[0]
    names = ", ".join(f"{job['id']} {job['name']}" for job in jobs[:_NAMED])
    more = f" and {len(jobs) - _NAMED} more" if len(jobs) > _NAMED else ""
    since = unix(newest["since"])
    moment = f", the last {text.when(since, now)}" if since is not None else ""
    head = f"  {len(jobs)} songs ({newest['code']}{moment})"
    yield Text(f"{head}: {newest['message']}", style=_BOLD)
    yield Text(f"    {names}{more}")
    ids = " ".join(str(job["id"]) for job in jobs[:_NAMED])
    yield from _mended(newest, f"{ids}{' ...' if more else ''}")


def of_quarantined(job: Document, now: float) -> Iterator[Text]:
    """Yield what happened to one song, and the command that resolves it."""
    since = unix(job["since"])
    moment = f", {text.when(since, now)}" if since is not None else ""
    head = f"  {job['id']} {job['name']} ({job['code']}{moment})"
    yield Text(f"{head}: {job['message']}", style=_BOLD)
    yield from _mended(job, str(job["id"]))


def _mended(job: Document, ids: str) -> Iterator[Text]:
    charged = "  # it may be charged again" if job["may_be_charged_again"] else ""
    yield Text(f"    {past_songs.remedy(job['code'])} {ids}{charged}")
    if job["hint"]:
        yield Text(f"    {job['hint']}", style=_DIM)


def _more(count: int, most: int) -> Iterator[Text]:
    if count > most:
        yield Text(f"  and {count - most} more (all with `--json`)")
