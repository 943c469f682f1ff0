"""The table as it stands in docs/other-programs.md: read, and written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.readers.cells import FIELDS

PAGE = Path(__file__).parents[2] / "docs" / "other-programs.md"
BEGIN, END = "<!-- tests.readers.table writes this -->", "<!-- to here -->"
HEADINGS = {"flac": "FLAC", "wav": "WAV", "mp3": "MP3", "m4a": "The stem file (M4A, ALAC)"}
_VERSION = "*version*"

# Format and reader: the cell of each field, and the version under `_VERSION`.
Columns = dict[tuple[str, str], dict[str, str]]


def versioned(cells: Mapping[str, str], version: str) -> dict[str, str]:
    return {_VERSION: version, **cells}


def committed(text: str) -> Columns:
    """The columns of the page's table."""
    inside = text.partition(BEGIN)[2].partition(END)[0]
    by_heading = {heading: kind for kind, heading in HEADINGS.items()}
    by_label = {label: field for field, label in FIELDS.items()} | {_VERSION: _VERSION}
    found: Columns = {}
    kind, readers = "", list[str]()
    for line in inside.splitlines():
        if line.startswith("### "):
            kind, readers = by_heading[line.removeprefix("### ")], []
        elif line.startswith("| ") and not readers:
            readers = _cells(line)[1:]
        elif line.startswith("| "):
            label, *cells = _cells(line)
            for reader, one in zip(readers, cells, strict=True):
                found.setdefault((kind, reader), {})[by_label[label]] = one
    return found


def with_table(text: str, columns: Columns) -> str:
    """The page with these columns as its table."""
    before, _, rest = text.partition(BEGIN)
    table = "\n".join(_lines(columns))
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def differences(old: Columns, new: Columns) -> Iterator[str]:
    """Each cell of `new` that is another in `old`; versions may differ."""
    for (kind, reader), cells in new.items():
        for field, one in cells.items():
            before = old.get((kind, reader), {}).get(field)
            if before != one and field != _VERSION:
                yield f"{HEADINGS[kind]}, {reader}, {FIELDS[field]}: was {before}, is {one}"


def _lines(columns: Columns) -> Iterator[str]:
    for kind, heading in HEADINGS.items():
        readers = [reader for of, reader in columns if of == kind]
        yield f"\n### {heading}\n"
        yield _row("field", readers)
        yield "|" + "---|" * (len(readers) + 1)
        for field, label in {_VERSION: _VERSION, **FIELDS}.items():
            yield _row(label, [columns[kind, reader].get(field, "") for reader in readers])
    yield ""


def _row(label: str, cells: list[str]) -> str:
    return f"| {' | '.join([label, *cells])} |"


def _cells(line: str) -> list[str]:
    return [one.strip() for one in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
