"""Which changed keys take effect in a running service, and which wait for a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from stemwatch.config.settings import Inbox, Settings

# Sections of which every key takes effect at once, and single keys of the others.
LIVE = (
    "separation",
    "tags",
    "presets",
    "outbox",
    "prepare",
    "budget",
    "schedule",
    "log",
    "watch.extensions",
    "watch.ignore",
    "watch.settle_seconds",
    "watch.rescan_seconds",
    "api.max_concurrent",
    "api.requests_per_minute",
    "api.poll_interval",
    "api.job_deadline",
)
_LIVE_OF_AN_INBOX = ("separation", "presets", "budget", "outbox", "schedule")


def merged(old: Settings, new: Settings) -> tuple[Settings, list[str], list[str]]:
    """Return (the settings now in force, changed keys in them, keys that wait for a restart)."""
    changed = [(key, live) for key, live in _differing(old, new) if live]
    waiting = [key for key, live in _differing(old, new) if not live]
    kept: dict[str, Any] = {"inboxes": _inboxes(old, new)}
    for key in (key for key in waiting if not key.startswith("inboxes.")):
        section, _, name = key.partition(".")
        before = getattr(old, section)
        if name:
            after = kept.get(section, getattr(new, section))
            before = replace(after, **{name: getattr(before, name)})
        kept[section] = before
    return replace(new, **kept), [key for key, _ in changed], waiting


def _differing(old: Settings, new: Settings) -> Iterator[tuple[str, bool]]:
    """Each key that differs, and whether it is one of `LIVE`."""
    for section in (field.name for field in fields(old) if field.compare):
        before, after = getattr(old, section), getattr(new, section)
        if before == after:
            continue
        if section == "inboxes":
            yield from _differing_inboxes(before, after)
        elif section in LIVE or not is_dataclass(before):
            yield section, section in LIVE
        else:
            for name in _fields(before, after):
                yield f"{section}.{name}", f"{section}.{name}" in LIVE


def _differing_inboxes(
    before: Mapping[str, Inbox], after: Mapping[str, Inbox]
) -> Iterator[tuple[str, bool]]:
    """An inbox that comes or goes needs a restart; in one that stays, only its folders do."""
    for inbox in dict.fromkeys((*before, *after)):
        if inbox not in before or inbox not in after:
            yield f"inboxes.{inbox}", False
            continue
        for name in _fields(before[inbox], after[inbox]):
            yield f"inboxes.{inbox}.{name}", name in _LIVE_OF_AN_INBOX


def _inboxes(old: Settings, new: Settings) -> dict[str, Inbox]:
    """The old inboxes in their old folders, with the new values of all other keys."""
    return {
        name: replace(new.inboxes.get(name, inbox), folders=inbox.folders)
        for name, inbox in old.inboxes.items()
    }


def _fields(before: Any, after: Any) -> list[str]:
    names = (field.name for field in fields(before))
    return [name for name in names if getattr(before, name) != getattr(after, name)]
