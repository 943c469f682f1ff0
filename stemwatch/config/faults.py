"""How a fault names its key and its value: short, on one line, as the user wrote them."""

from __future__ import annotations

import reprlib
from typing import Any

from stemwatch.config.document import Key

_SHORT = reprlib.Repr()  # it takes these as arguments only from Python 3.12
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


def dotted(key: Key) -> str:
    """A key as users write it, such as `watch.extensions[2]`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
