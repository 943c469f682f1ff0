"""Pydantic's findings as sentences: the key, what was found, what is allowed."""

from __future__ import annotations

import difflib
import reprlib
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from stemwatch.config.document import Fault, Key
from stemwatch.config.settings import Separation, Settings

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "tuple_type": "a list such as [a, b]",
    "mapping_type": "keys with values",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
}

_SHORT = reprlib.Repr()  # its arguments came with Python 3.12
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 2


def show(value: Any) -> str:
    """A value as the user wrote it, short and on one line."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "keys with values"
    return _SHORT.repr(value)


def explain(error: ErrorDetails) -> Fault:
    """One finding as a fault. The value of an unknown key is never shown: it may be secret."""
    key: Key = tuple(part for part in error["loc"] if part != "[key]")
    kind = error["type"]
    if kind == "extra_forbidden":
        return Fault(key, f"unknown key; {_suggest(key)}")
    if kind == "value_error":
        return Fault(key, str(error["ctx"]["error"]))
    found = show(error["input"])
    if kind == "literal_error":
        return Fault(key, f"found {found}; allowed are {error['ctx']['expected']}")
    if kind in _KINDS:
        return Fault(key, f"found {found}; allowed is {_KINDS[kind]}")
    return Fault(key, f"found {found}; {error['msg'].lower()}")


def dotted(key: Key) -> str:
    """`watch.extensions[2]`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _fields(at: Key) -> dict[str, Any]:
    """The known keys of the mapping at `at`."""
    model: Any = Settings
    if at:
        model = Separation if at[0] == "presets" else Settings.model_fields[str(at[0])].annotation
    return dict(model.model_fields) if _is_model(model) else {}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _suggest(key: Key) -> str:
    name, siblings = str(key[-1]), _fields(key[:-1])
    near = difflib.get_close_matches(name.lower(), siblings, n=1, cutoff=0.6)
    if "key" in name.lower() and key[:-1] in ((), ("api",)):
        return "the API key does not belong in this file: name its file in api.key_file"
    if near:
        return f"did you mean {dotted((*key[:-1], near[0]))}?"
    for section in Settings.model_fields:  # the right key in the wrong place
        if name in _fields((section,)) and section != "presets":
            return f"did you mean {section}.{name}?"
    return f"known keys here are {', '.join(siblings)}"
