"""Turns plain data into Settings: runs the check of each value, and collects the faults."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from stemwatch.config.checks import Check, Wrong
from stemwatch.config.document import Fault, Key
from stemwatch.config.faults import dotted, show
from stemwatch.config.settings import Named, Settings


def read(raw: dict[str, Any]) -> tuple[Settings, list[Fault]]:
    """Settings, and the faults of single keys.

    Keys with faults have their defaults, so that the rest can be checked in the same run.
    """
    reader = _Reader()
    return Settings(**reader.section(Settings, raw, ())), reader.faults


class _Reader:
    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def section(self, kind: type, raw: Any, at: Key) -> dict[str, Any]:
        """The fields of `kind` that `raw` gives."""
        shapes = _shapes(kind)
        found = {}
        for name, value in _mapping(raw).items():
            if name not in shapes:
                # Its value is never shown: it may be secret.
                told, meant = _suggest((*at, name))
                self.faults.append(Fault((*at, name), f"unknown key; {told}", meant=meant))
                continue
            try:
                found[name] = self._value(shapes[name], value, (*at, name))
            except ValueError as wrong:
                self._note((*at, name), wrong)
        return found

    def _value(self, shape: Check | type | Named, value: Any, at: Key) -> Any:
        if isinstance(shape, Named):
            return self._named(shape, value, at)
        if isinstance(shape, type):
            return shape(**self.section(shape, value, at))
        return shape(value)

    def _named(self, shape: Named, raw: Any, at: Key) -> dict[str, Any]:
        found = {}
        for name, value in _mapping(raw).items():
            good = True
            try:
                shape.name(name)
            except ValueError as wrong:
                self._note((*at, name), wrong)
                good = False
            try:
                taken = self._value(shape.value, value, (*at, name))
            except ValueError as wrong:
                self._note((*at, name), wrong)
                continue
            if good:
                found[name] = taken
        return found

    def _note(self, at: Key, wrong: ValueError) -> None:
        inside = wrong.faults if isinstance(wrong, Wrong) else (Fault((), str(wrong)),)
        self.faults += [Fault((*at, *fault.key), fault.text) for fault in inside]


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"found {show(value)}; allowed is keys with values")
    return value


def _shapes(kind: Any) -> dict[str, Any]:
    """The known keys of a section, each with what its value must be."""
    return {f.name: f.metadata["shape"] for f in fields(kind) if "shape" in f.metadata}


def _known(at: Key) -> dict[str, Any]:
    """The known keys of the mapping at `at`."""
    shape: Any = Settings
    for part in at:
        shape = shape.value if isinstance(shape, Named) else _shapes(shape)[str(part)]
    return _shapes(shape) if isinstance(shape, type) else {}


def _suggest(key: Key) -> tuple[str, str]:
    """What to say of an unknown key, and the section that it was probably meant for."""
    import difflib  # loaded only for a misspelt key

    name, siblings = str(key[-1]), _known(key[:-1])
    near = difflib.get_close_matches(name.lower(), siblings, n=1, cutoff=0.6)
    if "key" in name.lower() and key[:-1] in ((), ("api",)):
        return "the API key does not belong in this file: name its file in api.key_file", "api"
    if near and not (len(key) == 1 and name == "inbox"):  # means folders.inbox, not `inboxes`
        meant = dotted((*key[:-1], near[0]))
        return f"did you mean {meant}?", meant.partition(".")[0]
    for section in _shapes(Settings):  # the right key in the wrong place
        if name in _known((section,)):
            return f"did you mean {section}.{name}?", section
    return f"known keys here are {', '.join(siblings)}", str(key[0])
