"""Writes our fields into an M4A as iTunes does, and once more as the freeform atoms of DJ programs.

Helper process only: this module imports mutagen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mutagen.mp4

from stemwatch.audio.tagging.song_tags import Cover

_mp4: Any = mutagen.mp4  # half of mutagen is typed
_FREEFORM = "----:com.apple.iTunes:"
_TEXTS = {
    "title": "©nam",
    "artist": "©ART",
    "album": "©alb",
    "albumartist": "aART",
    "date": "©day",
    "genre": "©gen",
    "composer": "©wrt",
    "comment": "©cmt",
    "grouping": "©grp",
}
_NUMBERS = {"tracknumber": "trkn", "discnumber": "disk"}
_FREE = {
    "bpm": ("BPM",),  # beside `tmpo`, which holds whole numbers only
    "key": ("initialkey", "KEY"),
    "isrc": ("ISRC",),
    "label": ("LABEL",),
    "remixer": ("REMIXER",),
}
_MOST = 0xFFFF  # that fits a number of an atom


def write_m4a(path: str, text: Mapping[str, tuple[str, ...]], cover: Cover | None) -> None:
    """Write `text` (by the names of `song_tags`) and the cover; other atoms stay.

    Nothing is written before all of it is ready. Raises OSError and what mutagen raises.
    """
    file = _mp4.MP4(path)
    if file.tags is None:
        file.add_tags()
    for name, values in text.items():
        file.tags.update(_atoms(name, values))
    if cover is not None:
        png = cover.mime == "image/png"
        kind = _mp4.MP4Cover.FORMAT_PNG if png else _mp4.MP4Cover.FORMAT_JPEG
        file.tags["covr"] = [_mp4.MP4Cover(cover.data, imageformat=kind)]
    file.save()


def _atoms(name: str, values: tuple[str, ...]) -> dict[str, Any]:
    """The atoms of one field; none for what is no number where one is needed."""
    if name in _TEXTS:
        return {_TEXTS[name]: list(values)}
    if name in _NUMBERS:
        found = _number_of_total(values[0])
        return {_NUMBERS[name]: [found]} if found else {}
    if name == "compilation":
        return {"cpil": True}
    encoded = [_mp4.MP4FreeForm(value.encode()) for value in values]
    names = _FREE.get(name, (name.upper(),))
    atoms: dict[str, Any] = {f"{_FREEFORM}{free}": encoded for free in names}
    if name == "bpm":
        atoms["tmpo"] = [round(float(values[0]))]
    return atoms


def _number_of_total(text: str) -> tuple[int, int] | None:
    """(3, 12) for "3/12", (3, 0) for "3"; None for another text."""
    number, _, total = (part.strip() for part in text.partition("/"))
    first, last = (_whole(part) for part in (number, total))
    return (first, last) if first else None


def _whole(text: str) -> int:
    """0 for what is no number, or does not fit."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
    return number if number <= _MOST else 0
