"""The helper process that runs Apprise: sends the messages of one task, and reports each outcome.

The task is JSON on stdin: `messages`, a list of `url`, `title`, `body` and `urgent`. Without a
`body`, the URL is only checked. For each message one line of JSON is written as soon as its outcome
is known: `index`, `outcome` (`sent`, `failed`, `invalid`), and `why`, without any part of the URL.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote

_AT_ONCE = 8
_WHY = 200  # characters
# A context variable, not a thread's own: Apprise hands its calls on to threads of its own.
_said: ContextVar[list[str]] = ContextVar("said")


def main() -> None:
    """Do the task on stdin and end, whatever still hangs."""
    messages = json.loads(sys.stdin.buffer.read())["messages"]
    logging.getLogger("apprise").addHandler(_Heard(logging.WARNING))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs = {pool.submit(_send, m): (n, m) for n, m in enumerate(messages)}
        for job in as_completed(jobs):
            index, message = jobs[job]
            outcome, why = job.result()
            line = {"index": index, "outcome": outcome, "why": _without(message["url"], why)}
            print(json.dumps(line), flush=True)
    # A connection that hangs in a library's own thread must not keep the process alive.
    os._exit(0)


def _send(message: Mapping[str, Any]) -> tuple[str, str]:
    """(outcome, why) of one message. Plugins are other people's code: they may raise anything."""
    said: list[str] = []
    _said.set(said)
    try:
        import apprise

        asset = apprise.AppriseAsset(app_id="stemwatch", app_desc="stemwatch", app_url="")
        plugin = apprise.Apprise.instantiate(message["url"], asset=asset)
        if not isinstance(plugin, apprise.NotifyBase):
            return "invalid", "Apprise knows no such URL"
        if message.get("body") is None:
            return "sent", ""
        kind = apprise.NotifyType.WARNING if message["urgent"] else apprise.NotifyType.INFO
        service = apprise.Apprise(asset=asset)
        service.add(plugin)
        sent = service.notify(
            body=message["body"],
            title=message["title"],
            notify_type=kind,
            body_format=apprise.NotifyFormat.TEXT,
        )
        return ("sent", "") if sent else ("failed", said[-1] if said else "it was not taken")
    except Exception as fault:
        return "failed", f"{type(fault).__name__}: {fault}"


class _Heard(logging.Handler):
    """Collects Apprise's log for each message: only there does a plugin say why it failed."""

    def emit(self, record: logging.LogRecord) -> None:
        _said.get([]).append(record.getMessage())


def _without(url: str, why: str) -> str:
    """`why` on one line, without any word of the URL: each may be the secret one."""
    rest = url.partition("://")[2]
    words = {word for text in (rest, unquote(rest)) for word in re.split(r"[^\w.~-]+", text)}
    for word in sorted((word for word in words if len(word) >= 4), key=len, reverse=True):
        why = why.replace(word, "…")
    return " ".join(why.split())[:_WHY]
