"""What a sweep found, in one shape: a row of docs/promises.md, and where it fell short.

Each sweep writes it to the file of its option `--json`, and `tests.faults.all` reads it there.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

OPTION = "--json"


@dataclass(frozen=True, slots=True)
class Result:
    """One promise: how it was attacked, what was found, and in words each time it was broken."""

    promise: str
    attack: str
    found: str
    faults: list[str]
    command: str = field(default_factory=lambda: command_of(sys.orig_argv))

    @property
    def row(self) -> str:
        """As the table of docs/promises.md has it."""
        found = self.found
        if self.faults:
            found = (
                f"**fell short, {several(len(self.faults), 'fault')}**: {self.faults[0]}; {found}"
            )
        cells = (self.promise, self.attack, found, f"`{self.command}`")
        return f"| {' | '.join(' '.join(cell.split()).replace('|', '/') for cell in cells)} |"


def command_of(argv: list[str]) -> str:
    """What to type for the same again: the command of this process without `--json FILE`."""
    kept = ["python", *argv[1:]]
    if OPTION in kept:
        at = kept.index(OPTION)
        del kept[at : at + 2]
    return shlex.join(kept)


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(OPTION, type=Path, metavar="FILE", help="also write the result to FILE")


def conclude(result: Result, file: Path | None) -> int:
    """Write the result, if a file was asked for; returns the sweep's exit code."""
    if file is not None:
        part = file.with_name(f"{file.name}.part")
        part.write_text(json.dumps(asdict(result), indent=1) + "\n")
        os.replace(part, file)
    return 1 if result.faults else 0


def load(file: Path) -> Result:
    """Raises OSError or ValueError where a sweep ended without a result."""
    return Result(**json.loads(file.read_text()))


def several(count: int, what: str) -> str:
    """`no faults`, `1 fault`, `2 faults`; `what` in the singular."""
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
