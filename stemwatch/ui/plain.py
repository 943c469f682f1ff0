"""`status` for programs and pipes: the document as JSON, or the one line that sums it up."""

from __future__ import annotations

import json
from typing import Any

from stemwatch.ui import text

Document = dict[str, Any]
QUEUE = ("queued", "submitting", "separating", "separated", "delivered")


def as_json(document: Document, *, indent: int | None = 2) -> str:
    # An ASCII stream would insert escapes of its own, which would break the document.
    return json.dumps(document, ensure_ascii=not text.speaks_unicode(), indent=indent)


def say_json(document: Document) -> None:
    """Print the document, line by line: within a line, a line break would be escaped."""
    for line in as_json(document).split("\n"):
        text.say(line)


def _waits(document: Document) -> int:
    """The number of files that are not taken, in all inboxes."""
    return sum(inbox["waits"]["count"] for inbox in document["inboxes"])


def brief(document: Document) -> str:
    """One line about the service. `--watch` prints it in a pipe whenever it changes."""
    queue, service = document["queue"], document["service"]
    running = ", ".join(f"{one['name']} ({one['stage']})" for one in document["running"])
    parts = [
        "running" if service["running"] else "not running",
        *(f"{queue[state]} {state}" for state in (*QUEUE, "done", "quarantined") if queue[state]),
        *(f"paused: {pause['code']}" for pause in document["pauses"]),
        *([f"{len(document['unfiled'])} not moved"] if document["unfiled"] else []),
        *(["waits for the budget"] if document["budget"]["holding"] else []),
        *([f"{waits} in the inbox"] if (waits := _waits(document)) else []),
        *([f"at work: {running}"] if running else []),
    ]
    return "; ".join(parts)
