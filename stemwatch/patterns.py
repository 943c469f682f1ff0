"""Patterns for the names of results, such as `{artist} - {title}`: checked and filled in. Pure.

A field's value is one line of text. A pattern with a field that a song has no value for is not
filled in at all, since half of it would read like a mistake.
"""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

NAME, STEM_NAME = "{name}", "{song} ({stem})"  # the defaults
TAGS = ("artist", "title", "album", "albumartist", "track", "year", "genre")
FIELDS = ("name", *TAGS, "bpm", "key", "camelot", "stems", "format")
STEM_FIELDS = ("song", "stem", *FIELDS)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')


class ResultNames(NamedTuple):
    """The patterns of one inbox: of the song's folder, and of the files in it."""

    name: str = NAME
    stem_name: str = STEM_NAME

    @property
    def need_tags(self) -> bool:
        used = {field for pattern in self for field in fields_of(pattern)}
        return not used.isdisjoint(TAGS)


def check(pattern: str, known: Sequence[str]) -> None:
    """Raise ValueError with a sentence unless `pattern` has fields, and only those of `known`."""
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as fault:
        raise ValueError(
            f"{pattern!r} is no pattern: {fault}; a brace itself is written {{{{ or }}}}"
        ) from None
    fields = []
    for literal, field, spec, conversion in parts:
        if (wrong := _FORBIDDEN.search(literal)) is not None:
            raise ValueError(
                f"{wrong[0]!r} can't stand in a name everywhere; folders come from the inbox's own"
            )
        if field is None:
            continue
        if spec or conversion:
            raise ValueError(f"{{{field}}} takes nothing behind its name: no : and no !")
        if field not in known:
            raise ValueError(f"there is no field {{{field}}}; {_near(field, known)}")
        fields.append(field)
    if not fields:
        raise ValueError(f"{pattern!r} names no field: all songs would have one name")


def _near(field: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(field.lower(), known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {{{near[0]}}}?"
    return f"there are {', '.join(f'{{{one}}}' for one in known)}"


def fields_of(pattern: str) -> Iterator[str]:
    """The names of its fields, in order."""
    for _, field, _, _ in string.Formatter().parse(pattern):
        if field is not None:
            yield field


def fill(pattern: str, values: Mapping[str, str | None]) -> str | None:
    """`pattern` with `values`; None where one of its fields has no value."""
    found = {field: " ".join((values.get(field) or "").split()) for field in fields_of(pattern)}
    if not all(found.values()):
        return None
    return "".join(
        literal + ("" if field is None else found[field])
        for literal, field, _, _ in string.Formatter().parse(pattern)
    )
