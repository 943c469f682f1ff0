"""Checks of `notify` and `hooks`: events, commands, and addresses (secret, so never shown)."""

from __future__ import annotations

import re
from typing import Any

from stemwatch.config.checks import Wrong, each, one_of, texts
from stemwatch.config.document import Fault

# The events, in the order of the documentation.
EVENTS = ("delivered", "quarantined", "paused", "resumed", "budget")
# The default. A delivered song is what one expects: it is reported only where that is configured.
USUAL = EVENTS[1:]
_URL = "allowed is an Apprise URL such as ntfys://ntfy.sh/topic (it is not shown: it may be secret)"
_COMMAND = "allowed is a list such as [/usr/local/bin/rescan, --now]; there is no shell"
_FORM = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\x00-\x1f\x7f\ud800-\udfff]+")

event = one_of(*EVENTS)


def events(value: Any) -> tuple[str, ...]:
    """Some of EVENTS, each once."""
    return tuple(dict.fromkeys(each(event, texts(value))))


def is_url(value: Any) -> bool:
    """Whether it has a URL's form; only Apprise can tell whether it is one of its own."""
    return isinstance(value, str) and _FORM.fullmatch(value) is not None


def urls(value: Any) -> tuple[str, ...]:
    """Apprise URLs. No fault repeats any of them."""
    if not isinstance(value, list):
        raise ValueError(f"must be a list; {_URL}")
    if wrong := [Fault((n,), f"is no URL; {_URL}") for n, u in enumerate(value) if not is_url(u)]:
        raise Wrong(*wrong)
    return tuple(dict.fromkeys(value))


def command(value: Any) -> tuple[str, ...]:
    """A program and its arguments. Not repeated in a fault: arguments may be secret."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be a list with a program first; {_COMMAND}")
    wrong = [
        Fault((index,), f"must be text in quotes; {_COMMAND}")
        for index, item in enumerate(value)
        if not isinstance(item, str) or "\0" in item or (index == 0 and not item.strip())
    ]
    if wrong:
        raise Wrong(*wrong)
    return tuple(texts(value))
