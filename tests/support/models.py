"""Folders of models for tests: the small networks of random numbers, imported by the real code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stemwatch.models.bringing import bring, digest
from tests.support.htdemucs_reference import FILE, SEED
from tests.support.weights import random_state, segment, torch_file

REFERENCE: dict[str, Any] = json.loads(FILE.read_text())


def small_file(folder: Path, name: str = "htdemucs") -> Path:
    """A `.th` of the small network of that name."""
    known = REFERENCE[name]
    state = random_state(known["shapes"], SEED)
    return torch_file(folder / f"{name}.th", state, segment(known["settings"]))


def install(folder: Path, *names: str) -> Path:
    """The folder of models, with these in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = small_file(folder, name)
        bring(str(file), str(folder), sha256=digest(str(file)))
        file.unlink()
    return folder
