"""`history` for people: one line per song, or two where the terminal is narrow."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from stemwatch.codes import Code, rule_of
from stemwatch.outbox.sidecar import unix
from stemwatch.ui import text
from stemwatch.ui.song_row import cut

Document = dict[str, Any]
_WIDE = 120  # cells: in a terminal of this width a song has one line
_NAME = 36  # cells of the name in that line
_WHEN = "%Y-%m-%d %H:%M"
_INDENT = " " * 18
# The song is beyond a limit of the API.
_BEYOND = frozenset({Code.TOO_LARGE, Code.TOO_LONG, Code.TOO_SHORT})
_GOOD, _BAD, _DIM = "green", "bold red", "dim"


def lines(document: Document, width: float) -> Iterator[Text]:
    """Yield the lines of all songs of a history, in its order. `width` is in cells, inf: no cut."""
    tell = _delivered if document["kind"] == "delivered" else _quarantined
    for one in document["songs"]:
        yield from tell(one, document["currency"], width)


def _delivered(one: Document, currency: str, width: float) -> Iterator[Text]:
    bpm, key = tempo(one["bpm"]), one["key"] or "key unknown"
    minutes = "-" if one["minutes"] is None else f"{one['minutes']:.2f} min"
    paid = cost(one, currency)
    if width >= _WIDE:
        name = cut(whose(one), _NAME) if width < math.inf else whose(one)
        gap = " " * (_NAME - cell_len(name))
        row = f"{name}{gap}  {bpm:>11}  {key:<11}  {minutes:>10}  {paid:>11}  "
        yield _at(one, row, one["folder"] or "")
    else:
        yield _at(one, whose(one), "")
        yield Text(f"{_INDENT}{bpm}, {key}, {minutes}, {paid}")
        yield Text(f"{_INDENT}{one['folder'] or ''}", style=_DIM)


def _quarantined(one: Document, currency: str, width: float) -> Iterator[Text]:  # noqa: ARG001
    now = "" if one["state"] == "quarantined" else f"; now {one['state']}"
    yield _at(one, f"{whose(one)} ({one['code']}{now})", "", style=_BAD)
    if one["message"]:
        yield Text(f"{_INDENT}{one['message']}")
    if one["state"] == "quarantined":
        yield Text(f"{_INDENT}{remedy(one['code'])} {one['id']}", style=_DIM)


def _at(one: Document, row: str, end: str, *, style: str = _GOOD) -> Text:
    at = unix(one["at"])
    when = "?" if at is None else time.strftime(_WHEN, time.localtime(at))
    line = Text(f"{when:<16}  ", style=_DIM)
    return line.append(row, style=style).append(end, style="")


def remedy(code: str | None) -> str:
    """The command for a song in quarantine: a retry, unless the same file ends the same."""
    lasting = code is not None and (rule_of(code).lasting or code in _BEYOND)
    return "stemwatch discard" if lasting else "stemwatch retry"


def whose(one: Document) -> str:
    """The song's path below the inbox, with the inbox's name where there are several."""
    return f"{one['relpath']} ({one['inbox']})" if one["inbox"] else str(one["relpath"])


def tempo(bpm: float | None) -> str:
    return "BPM unknown" if bpm is None else f"{bpm:.1f} BPM"


def cost(one: Document, currency: str) -> str:
    """What was paid for the song, as an amount or a word."""
    if one["reused"]:
        return "reused"
    if one["price"] is None:
        return "-"  # unknown: the job was rebuilt from a sidecar
    return text.money(one["price"], currency) if one["price"] else "free"
