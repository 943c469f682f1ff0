"""What a reader says of one file, and how the table shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tests.readers.made import digest, expected

FIELDS = {
    "title": "title",
    "artist": "artist",
    "album": "album",
    "albumartist": "album artist",
    "tracknumber": "track",
    "discnumber": "disc",
    "date": "year",
    "genre": "genre",
    "bpm": "tempo",
    "key": "key",
    "grouping": "grouping",
    "composer": "composer",
    "label": "label",
    "remixer": "remixer",
    "isrc": "ISRC",
    "comment": "comment",
    "compilation": "compilation",
    "cover": "cover",
}
RIGHT, MISSING = "✓", "–"
THERE = object()  # a cover that a reader tells of without showing its bytes


class Said(NamedTuple):
    """One value, and the name it stands under where that is not the reader's usual one."""

    value: Any
    under: str = ""


Found = Mapping[str, Said]
Names = Mapping[str, str | Iterable[str]]


def picked(names: Names, given: Mapping[str, Any]) -> dict[str, Said]:
    """Our fields of what a reader gives; the first of a field's names is its usual one."""
    found = {}
    for field, known in names.items():
        usual, *others = [known] if isinstance(known, str) else known
        if (value := given.get(usual)) not in (None, "", [], ()):
            found[field] = Said(value)
            continue
        for name in others:
            if (value := given.get(name)) not in (None, "", [], ()):
                found[field] = Said(value, name)
                break
    return found


def cover(data: object) -> dict[str, Said]:
    """The cover by its bytes, or `THERE`; nothing for none."""
    if not data:
        return {}
    return {"cover": Said(digest(data) if isinstance(data, bytes) else THERE)}


def column(kind: str, found: Found) -> dict[str, str]:
    """A reader's cells for the file of one format; blank for what that file does not say."""
    right = expected(kind)
    return {
        field: _cell(field, found.get(field), right[field]) if field in right else ""
        for field in FIELDS
    }


def _cell(field: str, said: Said | None, right: str) -> str:
    """`✓` as it should be, `–` not shown, else what the reader says instead."""
    if said is None:
        return MISSING
    shown = _text(said.value)
    if field == "cover":
        told = "there" if said.value is THERE else RIGHT if shown == right else "another"
    else:
        told = RIGHT if shown == right or _alike(field, shown, right) else f"`{shown}`"
    return f"{told} as {said.under}" if said.under else told


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "; ".join(_text(one) for one in value)
    return str(value)


def _alike(field: str, shown: str, right: str) -> bool:
    """Numbers in another notation, a date with a made-up day, a flag in words."""
    if field == "bpm":
        return bool(re.fullmatch(r"\d+\.\d{4,}", shown)) and f"{float(shown):.2f}" == right
    if field == "key":
        return shown.replace("♯", "#") == right
    if field == "date":
        return shown.startswith(f"{right}-01-01")
    if field == "compilation":
        return shown.casefold() in ("true", "yes")
    if field in ("tracknumber", "discnumber"):
        return shown.partition("/")[0].partition(" of ")[0].lstrip("0") == right.partition("/")[0]
    return False
