"""A song's tags in one form, whatever family they come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# our name -> ID3's frame
ID3_FRAMES = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "albumartist": "TPE2",
    "date": "TDRC",
    "genre": "TCON",
    "tracknumber": "TRCK",
    "discnumber": "TPOS",
    "bpm": "TBPM",
    "key": "TKEY",
    "composer": "TCOM",
    "isrc": "TSRC",
    "label": "TPUB",
    "remixer": "TPE4",
    "comment": "COMM",
    "grouping": "TIT1",
    "compilation": "TCMP",
}
# A second frame of the grouping, iTunes's: to TagLib 2, TIT1 is the work.
GROUPING = "GRP1"

_TEMPO = re.compile(r"\s*(\d{1,3}(?:[.,]\d+)?)\s*(?:bpm)?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cover:
    """The front cover: its bytes and their MIME type."""

    data: bytes
    mime: str


@dataclass(frozen=True, slots=True)
class SourceTags:
    """A song's tags: `text` maps the names above to one or more values; `note` says what broke.

    `serato`: its cue points, where they fit the stems (`serato.cue_points`).
    """

    text: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cover: Cover | None = None
    note: str | None = None
    serato: Mapping[str, Any] = field(default_factory=dict)


def merged(found: Iterable[SourceTags], note: str | None = None) -> SourceTags:
    """One of several families: for each field the first that has it."""
    text: dict[str, tuple[str, ...]] = {}
    cover = None
    for tags in found:
        text = {**tags.text, **text}
        cover = cover or tags.cover
    return SourceTags(text, cover, note)


def own_tempo(written: str) -> float | None:
    """The tempo in a song's own tag, such as "124,57 BPM"; None where it holds no sensible one."""
    found = _TEMPO.fullmatch(written)
    beats = float(found[1].replace(",", ".")) if found else 0.0
    return beats if 1 <= beats < 1000 else None
