"""What a new configuration changes under a running service, and what has to wait for a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from stemwatch.config.settings import Settings

# Sections of which every key takes effect at once, and single keys of the others.
LIVE = (
    "separation",
    "presets",
    "budget",
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


def merged(old: Settings, new: Settings) -> tuple[Settings, list[str], list[str]]:
    """(what is in force from now on, keys that changed, keys that wait for a restart)."""
    changed = [(key, live) for key, live in _differing(old, new) if live]
    waiting = [key for key, live in _differing(old, new) if not live]
    kept: dict[str, Any] = {}
    for key in waiting:
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
        if section in LIVE or not is_dataclass(before):
            yield section, section in LIVE
            continue
        for field in fields(before):
            if getattr(before, field.name) != getattr(after, field.name):
                key = f"{section}.{field.name}"
                yield key, key in LIVE
