"""The section `outbox`: patterns for the names of results, and who is to leave them alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stemwatch import patterns
from stemwatch.config import checks
from stemwatch.config.groups import ignore_keys


def name(value: Any) -> str:
    """A pattern for a song's folder."""
    given = checks.text(value)
    patterns.check(given, patterns.FIELDS)
    return given


def stem_name(value: Any) -> str:
    """A pattern for the files in it, which only the stem tells apart."""
    given = checks.text(value)
    patterns.check(given, patterns.STEM_FIELDS)
    if "stem" not in patterns.fields_of(given):
        raise ValueError(f"{given!r} has no {{stem}}: all stems of a song would have one name")
    return given


@dataclass(frozen=True)
class Outbox:
    """How results are named; `ignore_files`: the programs whose marker files the outbox gets."""

    name: str = field(default=patterns.NAME, metadata={"shape": name})
    stem_name: str = field(default=patterns.STEM_NAME, metadata={"shape": stem_name})
    ignore_files: tuple[str, ...] = field(default=(), metadata={"shape": ignore_keys.programs})

    @property
    def names(self) -> patterns.ResultNames:
        return patterns.ResultNames(self.name, self.stem_name)

    @property
    def markers(self) -> Mapping[str, bytes]:
        """The marker files: name and content."""
        return dict(ignore_keys.FILES[program] for program in self.ignore_files)
