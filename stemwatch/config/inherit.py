"""Fills in the keys that presets and inboxes inherit, before any value is checked."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from stemwatch.config.document import Key

_KEYS = ("stems", "format", "mixes", "stem_file")
_FOLDERS = ("inbox", "outbox", "quarantine", "archive")
_OF_AN_INBOX = ("folders", "separation", "presets", "budget", "outbox", "schedule")
_OF_OUTBOX = ("name", "stem_name", "ignore_files")


class Inherited:
    """The keys that were filled in. `key in inherited` is true for all below them too."""

    def __init__(self) -> None:
        self._keys: set[Key] = set()

    def add(self, key: Key) -> None:
        self._keys.add(key)

    def __contains__(self, key: Key) -> bool:
        return any(key[:length] in self._keys for length in range(1, len(key) + 1))


def fill_up(raw: dict[str, Any]) -> Inherited:
    """Complete presets and inboxes in `raw`, which is changed; returns the keys that were added.

    A value of the wrong type stays as it is: the check of the values reports it.
    """
    inherited = Inherited()
    base, presets, inboxes = (_own(raw, k) for k in ("separation", "presets", "inboxes"))
    _empty_mixes(base)
    _presets(base, presets, (), inherited)
    for name in inboxes if isinstance(inboxes, dict) else ():
        own = _own(inboxes, name)
        if isinstance(own, dict) and isinstance(name, str):
            _inbox(own, name, raw, inherited)
    return inherited


def _own(holder: dict[str, Any], key: str) -> Any:
    """The mapping at `key`, as a copy that stands only there; an empty one for nothing (null).

    A YAML alias (`*name`) is one object in several places, or even inside itself: what one inbox
    inherits would be another one's too.
    """
    value = holder.get(key)
    if value is None:
        value = {}
    if isinstance(value, dict):
        value = value.copy()
        if key in holder:
            holder[key] = value
    return value


def _inbox(own: dict[str, Any], name: str, raw: dict[str, Any], inherited: Inherited) -> None:
    """Complete one inbox: folders named after it, the top level's separation, all its presets."""
    at = ("inboxes", name)
    for section in _OF_AN_INBOX:
        _own(own, section)
    folders = own.setdefault("folders", {})
    for folder in _FOLDERS if isinstance(folders, dict) else ():
        if folder not in folders:
            folders[folder] = f"~/stemwatch/{name}/{folder}"
    base, separation = raw.get("separation", {}), own.setdefault("separation", {})
    _empty_mixes(separation)
    _take(separation, base, (*at, "separation"), inherited)
    _copy(own.setdefault("outbox", {}), raw.get("outbox", {}), (*at, "outbox"), inherited)
    _hours(own, raw.get("schedule", {}), at, inherited)
    if "presets" in own:
        _presets(separation, own["presets"], at, inherited)
    else:
        own["presets"] = copy.deepcopy(raw.get("presets", {}))
        inherited.add((*at, "presets"))


def _copy(own: Any, base: Any, at: Key, inherited: Inherited) -> None:
    """Copy the missing keys of `outbox` from the top level's."""
    if not isinstance(own, dict) or not isinstance(base, dict):
        return
    for key in _OF_OUTBOX:
        if key in base and key not in own:
            own[key] = copy.deepcopy(base[key])
            inherited.add((*at, key))


def _hours(own: dict[str, Any], base: Any, at: Key, inherited: Inherited) -> None:
    """The top level's hours; `submit: null` in an inbox means always, whatever the others have."""
    schedule = own.setdefault("schedule", {})
    if isinstance(schedule, dict) and isinstance(base, dict):
        for key in base.keys() - schedule.keys():
            schedule[key] = base[key]
            inherited.add((*at, "schedule", key))


def _presets(base: Any, presets: Any, at: Key, inherited: Inherited) -> None:
    """Fill up every preset from the `separation` beside it."""
    for name, own in _named(presets):
        _empty_mixes(own)
        _take(own, base, (*at, "presets", name), inherited)


def _named(presets: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in presets if isinstance(presets, dict) else ():
        own = _own(presets, name)
        if isinstance(own, dict):
            yield name, own


def _take(own: Any, base: Any, at: Key, inherited: Inherited) -> None:
    """Copy missing keys from `base`; mixes only if the number of stems is the same, the stem file
    only for more than two stems: neither can be made of two.
    """
    if not isinstance(own, dict) or not isinstance(base, dict):
        return
    of_base = base.get("stems", 2)
    stems = own.get("stems", of_base)
    apart = {"mixes": stems != of_base, "stem_file": stems == 2 != of_base}
    for key in _KEYS:
        if key in base and key not in own and not apart.get(key):
            own[key] = copy.deepcopy(base[key])
            inherited.add((*at, key))


def _empty_mixes(place: Any) -> None:
    if isinstance(place, dict) and place.get("mixes", {}) is None:
        place["mixes"] = {}
