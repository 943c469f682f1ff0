"""Musical keys: "C# minor", "Gm", "Bb" in the notations that DJs sort by. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from stemwatch.outbox.naming import readable

_PITCH = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"": "", "#": "#", "♯": "#", "sharp": "#", "b": "b", "♭": "b", "flat": "b"}
_SHIFT = {"": 0, "#": 1, "b": -1}
# Camelot 1A and 1B are G# minor and B major; each further number is a fifth up (7 semitones).
_FIRST = {"minor": 8, "major": 11}
_MODES = {"": "major", "m": "minor", "min": "minor", "minor": "minor"} | dict.fromkeys(
    ("M", "maj", "major"), "major"
)
_KEY = re.compile(
    r"\s*(?P<letter>[A-Ga-g])"
    r"(?:\s*(?P<sign>[#♯b♭])|[\s-]*(?P<word>sharp|flat)\b)?"
    r"[\s_:-]*(?P<mode>[A-Za-z]*)\.?\s*",
    re.IGNORECASE,
)
_RAW_LIMIT = 100  # characters; what a server says is kept, but not a book


def parse_key(raw: str | None) -> dict[str, str | None] | None:
    """The sidecar's `key` (raw, tonic, mode, camelot, open_key); None for None.

    A bare letter is major, as in StemSplit's answers ("C#"). The tonic keeps the given spelling,
    sharp or flat. What can't be parsed keeps `raw` and nulls the rest.
    """
    if raw is None:
        return None
    key: dict[str, str | None] = {
        "raw": readable(raw[:_RAW_LIMIT]),
        "tonic": None,
        "mode": None,
        "camelot": None,
        "open_key": None,
    }
    found = _KEY.fullmatch(raw) if len(raw) <= _RAW_LIMIT else None
    if found is None:
        return key
    word = found["mode"]
    mode = _MODES.get(word if len(word) == 1 else word.lower())  # m and M differ, MIN and min don't
    if mode is None:
        return key
    written = (found["sign"] or found["word"] or "").lower()
    sign = _SIGNS[written]
    letter = found["letter"].upper()
    pitch = (_PITCH[letter] + _SHIFT[sign]) % 12
    # 7 is its own inverse modulo 12, so the same factor counts the fifths back.
    number = (pitch - _FIRST[mode]) * 7 % 12 + 1
    minor = mode == "minor"
    return key | {
        "tonic": letter + sign,
        "mode": mode,
        "camelot": f"{number}{'A' if minor else 'B'}",
        "open_key": f"{(number + 4) % 12 + 1}{'m' if minor else 'd'}",
    }


def tag_key(key: Mapping[str, str | None] | None) -> str | None:
    """A parsed key as ID3's TKEY wants it: "C#m", "Bb"; at most 3 characters, None if unknown."""
    if key is None or key["tonic"] is None:
        return None
    return key["tonic"] + ("m" if key["mode"] == "minor" else "")
