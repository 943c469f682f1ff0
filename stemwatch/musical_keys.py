"""Musical keys: parses "C# minor", "Gm" or "Bb", and writes the notations of DJs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

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
# Keys as numbers, in Camelot (8A, 08A) or Open Key (1m, 6d) notation.
_WHEEL = re.compile(r"\s*0?(?P<number>1[0-2]|[1-9])\s*(?P<side>[ABMD])\s*", re.IGNORECASE)
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_RAW_LIMIT = 100  # characters of a server's text that are kept


def parse_key(raw: str | None) -> dict[str, str | None] | None:
    """The sidecar's `key` (raw, tonic, mode, camelot, open_key); None for None.

    A capital letter alone is major, as in StemSplit's answers ("C#"), a small letter alone minor.
    The tonic keeps the given spelling, sharp or flat. If `raw` can't be parsed, all other keys are
    None.
    """
    if raw is None:
        return None
    key: dict[str, str | None] = {
        "raw": raw[:_RAW_LIMIT],
        "tonic": None,
        "mode": None,
        "camelot": None,
        "open_key": None,
    }
    found = _KEY.fullmatch(raw) if len(raw) <= _RAW_LIMIT else None
    if found is None:
        return key
    word = found["mode"]
    # The case matters for m and M only.
    mode = _MODES.get(word if len(word) == 1 else word.lower())
    if mode is None:
        return key
    if not word and found["letter"].islower():
        mode = "minor"
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
    """A parsed key as ID3's TKEY has it: "C#m", "Bb"; at most 3 characters, None if unknown."""
    if key is None or key["tonic"] is None:
        return None
    return key["tonic"] + ("m" if key["mode"] == "minor" else "")


def parse_own_key(written: str | None) -> dict[str, str | None] | None:
    """`parse_key` for the key in a song's own tag, which may also be a number: "8A", "1m"."""
    key = parse_key(written)
    if key is None or key["tonic"] is not None or (short := own_key(key["raw"] or "")) is None:
        return key
    return (parse_key(short) or {}) | {"raw": key["raw"]}


def own_key(written: str) -> str | None:
    """The key in a song's own tag, in the form of `tag_key`: "A minor", "8A" and "1m" are "Am".

    None: the tag holds no key.
    """
    wheel = _WHEEL.fullmatch(written)
    if wheel is None:
        return tag_key(parse_key(written))
    side, number = wheel["side"].upper(), int(wheel["number"])
    mode = "minor" if side in "AM" else "major"
    fifths = number - 1 if side in "AB" else number + 7 - 1  # Open Key begins 7 fifths further on
    return _NAMES[(_FIRST[mode] + 7 * fifths) % 12] + ("m" if mode == "minor" else "")
