"""Reads a Containerfile: its stages, each with its steps; only the forms that ours uses."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path

# fmt: off
KNOWN = frozenset({
    "FROM", "COPY", "RUN", "ENV", "WORKDIR", "VOLUME", "STOPSIGNAL",
    "HEALTHCHECK", "ENTRYPOINT", "CMD",
})
# fmt: on


@dataclass
class Stage:
    """One FROM and what follows it: (instruction, its text)."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def env(self) -> dict[str, str]:
        pairs = (word for text in self.all("ENV") for word in shlex.split(text))
        return dict(pair.split("=", 1) for pair in pairs)

    def all(self, instruction: str) -> list[str]:
        return [text for name, text in self.steps if name == instruction]

    def words(self, instruction: str) -> list[str]:
        """The JSON form of the only ENTRYPOINT, CMD or HEALTHCHECK."""
        (text,) = self.all(instruction)
        found: list[str] = json.loads(text[text.index("[") :])
        return found


def read(path: Path) -> list[Stage]:
    """Raises on what it does not know: a step that is not carried out must not pass for one."""
    stages: list[Stage] = []
    for line in path.read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, _, text = line.partition(" ")
        assert instruction in KNOWN, line
        assert not text.endswith("\\"), f"one line for each step: {line}"
        if instruction == "FROM":
            base, _, name = text.partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].steps.append((instruction, text.strip()))
    return stages
