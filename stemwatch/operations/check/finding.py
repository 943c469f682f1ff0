"""`Finding`: the result of one check, with its level and the hint."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


OK, WARNING, FAULT = Level.OK, Level.WARNING, Level.FAULT


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `text` says what was found, `hint` what mends it."""

    level: Level
    text: str
    hint: str = ""
