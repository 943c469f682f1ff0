"""A scenario server in a process of its own: nothing that a benchmark does slows its clock."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).parents[2]


@contextmanager
def scenario_server(
    settings: Mapping[str, Any], scenario: Mapping[str, Any] | None = None, *options: str
) -> Iterator[str]:
    """Its origin. `settings` and `scenario` are those of `ScenarioServer`."""
    command = [
        sys.executable,
        "-m",
        "tests.support.scenario.server",
        "--settings",
        json.dumps(settings),
    ]
    command += ["--scenario", json.dumps(scenario or {}), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["origin"]
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def seen(origin: str) -> dict[str, Any]:
    """What the server noted: every request (`log`), what it charged for (`paid`), its `uplink`."""
    return {name: _json(f"{origin}/_{name}") for name in ("log", "paid", "uplink")}


def _json(url: str) -> Any:
    with urlopen(url) as answer:
        return json.load(answer)
