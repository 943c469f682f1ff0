"""Each configuration key in force, and what sets it: a line of the file, a variable, a default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from stemwatch.config.document import Key
from stemwatch.config.faults import dotted
from stemwatch.config.load import Env, Reading
from stemwatch.config.settings import Settings

_UNUSED = "folders"  # it has no effect beside `inboxes`, which have folders of their own
_HIDDEN = "[redacted]"


@dataclass(frozen=True, slots=True)
class Value:
    """One key and its value as plain data, without secrets. `line` is its line in the file, from 1.

    Without a line, `by` says what decides: `default`, another key, or an environment variable.
    """

    key: str
    value: Any
    line: int | None
    by: str | None


def in_force(reading: Reading, env: Env) -> Iterator[Value]:
    """Yield every key that has an effect, in the order of the documentation."""
    for at, value, default in _leaves(reading.settings, Settings(), ()):
        if at[0] == _UNUSED and reading.settings.inboxes:
            continue
        line = reading.lines.get(at)
        by = None if line is not None else _by(at, value, default, reading, env)
        yield Value(dotted(at), _plain(at, value), line, by)


def _leaves(settings: Any, defaults: Any, above: Key) -> Iterator[tuple[Key, Any, Any]]:
    """Yield (key, value, default) for each key, those of presets and inboxes under their names."""
    for field in fields(settings):
        if "shape" not in field.metadata:
            continue
        value, at = getattr(settings, field.name), (*above, field.name)
        default = getattr(defaults, field.name, None)
        named = isinstance(value, Mapping) and any(is_dataclass(one) for one in value.values())
        if is_dataclass(value):
            yield from _leaves(value, default, at)
        elif named:
            for name, one in value.items():
                yield from _leaves(one, type(one)(), (*at, name))
        else:
            yield at, value, default


def _by(at: Key, value: Any, default: Any, reading: Reading, env: Env) -> str:
    """What decides the value of a key that has no line of its own."""
    lines = reading.lines
    if at == ("state_dir",):
        return _state_dir(env)
    if at == ("api", "base_url") and ("api", "wire") in lines:
        return "api.wire"
    for source in _inherited(at, lines):
        if source in lines and _at(reading.settings, source) == value:
            return dotted(source)
    # A value from a merge key (<<) has no line of its own. Folders are left out, since a default
    # path is made absolute and so differs from its default as well.
    merged = value != default and any(at[:length] in lines for length in range(1, len(at)))
    return "the file" if merged and "folders" not in at else "default"


def _state_dir(env: Env) -> str:
    if env.get("STATE_DIRECTORY"):
        return "$STATE_DIRECTORY"
    return "$XDG_STATE_HOME" if os.path.isabs(env.get("XDG_STATE_HOME", "")) else "default"


def _inherited(at: Key, lines: Mapping[Key, int]) -> Iterator[Key]:
    """The keys from which a preset's or an inbox's key inherits, the nearest first."""
    own, inside = (at[:2], at[2:]) if at[0] == "inboxes" else ((), at)
    if inside[:1] == ("presets",) and len(inside) == 3:
        if own and (*own, "presets") not in lines:  # the inbox uses all presets of the top level
            yield inside
        elif own:
            yield (*own, "separation", inside[2])
        yield ("separation", inside[2])
    elif own and inside[:1] in (("separation",), ("outbox",), ("schedule",)):
        yield inside


def _at(settings: Any, key: Key) -> Any:
    for name in key:
        settings = settings[name] if isinstance(settings, Mapping) else getattr(settings, str(name))
    return settings


def _plain(at: Key, value: Any) -> Any:
    """The value as JSON has it, without possible secrets: people paste this for others."""
    if at == ("notify", "urls"):
        return [f"{url.partition('://')[0]}://{_HIDDEN}" for url in value]
    if at == ("hooks",):
        return {event: [first, *(_HIDDEN for _ in more)] for event, (first, *more) in value.items()}
    if isinstance(value, Mapping):
        return {name: _plain((*at, name), one) for name, one in value.items()}
    return list(value) if isinstance(value, tuple) else value
