"""One event as one line: for people on a terminal, or as JSON. Values are already safe to print."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from stemwatch.log.sentences import sentence

_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
_FIRST = ("timestamp", "level", "event")


def as_json(event: Mapping[str, Any]) -> str:
    """Keys in a fixed order at the start, then the fields as they were given."""
    ordered = {name: event[name] for name in _FIRST if name in event}
    return json.dumps({**ordered, **event}, ensure_ascii=False, default=str)


def as_console(event: Mapping[str, Any], *, colour: bool) -> str:
    """`12:00:01 Song.mp3 delivered in 5 s: ...`, tracebacks below, indented.

    What has no sentence is shown as `12:00:01 warning: watch.rebuilt folder=/srv/inbox`. The indent
    keeps a traceback's own text from passing for a line of the log.
    """
    level = str(event.get("level", "info"))
    head = f"{'' if level == 'info' else f'{level}: '}{sentence(event) or _event(event)}"
    if colour and level in _COLOURS:
        head = f"\x1b[{_COLOURS[level]}m{head}\x1b[0m"
    line = f"{time.strftime('%H:%M:%S')} {head}"
    trace = str(event.get("exception", ""))
    return line + "".join(f"\n    | {part}" for part in trace.split("\n") if trace)


def _event(event: Mapping[str, Any]) -> str:
    """The event's own word, and its fields."""
    fields = [
        f"{name}={_value(value)}"
        for name, value in event.items()
        if name not in _FIRST and name != "exception"
    ]
    return " ".join([str(event.get("event", "")), *fields])


def _value(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"' if not value or " " in value or "=" in value else value
    return json.dumps(value, ensure_ascii=False, default=str)
