"""Progress of the jobs under way, and `status.json`, in which other commands read it.

The service writes `status.json` into its state directory, at most once a second and only when
something changed; `status`, `demo` and `split` read it. It holds no key and no URL.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

PREPARING, UPLOAD, SEPARATING = "preparing", "upload", "separating"
DOWNLOAD, DELIVERING = "download", "delivering"
UNPACKING = "unpacking"  # of a stem file
FILE_NAME = "status.json"


@dataclass(slots=True)
class Running:
    """One job under way. `done` and `total` are bytes; in `separating` seconds, or a share of 1."""

    id: int
    name: str
    stage: str
    since: float  # Unix seconds: when this stage began
    done: float = 0.0
    total: float | None = None


class Progress:
    """The jobs under way, in memory. Updates are cheap: they only set numbers.

    `changes` counts the updates. `changed` is set by each update and by other news of the service;
    the writer of `status.json` clears it.
    """

    def __init__(self) -> None:
        self.running: dict[int, Running] = {}
        self.changes = 0
        self.changed = asyncio.Event()
        self.engine: str | None = None  # our own server's, and its device, as it last told
        self.device: str | None = None

    def touch(self) -> None:
        """Note that something changed, so that `status.json` is written again."""
        self.changes += 1
        self.changed.set()

    def stage(self, job_id: int, name: str, stage: str, total: float | None = None) -> Running:
        """Note that a job enters a stage. Returns its entry, whose numbers the caller updates."""
        entry = Running(job_id, name, stage, time.time(), 0.0, total)
        self.running[job_id] = entry
        self.touch()
        return entry

    def separated_by(self, engine: str | None, device: str | None) -> None:
        """Note what the server says that it separates with; StemSplit says nothing."""
        if (engine, device) != (self.engine, self.device):
            self.engine, self.device = engine, device
            self.touch()

    def end(self, job_id: int) -> None:
        if self.running.pop(job_id, None) is not None:
            self.touch()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of `status.json`. Times are Unix seconds."""

    version: str
    pid: int
    started_at: float
    written_at: float
    watcher: Mapping[str, Any] = field(default_factory=dict)
    inboxes: list[Mapping[str, Any]] = field(default_factory=list)
    pauses: list[Mapping[str, Any]] = field(default_factory=list)
    running: list[Mapping[str, Any]] = field(default_factory=list)
    slots: Mapping[str, int] = field(default_factory=dict)
    unreadable: list[Mapping[str, str]] = field(default_factory=list)
    credit: Mapping[str, float] | None = None  # seconds, at
    separates: str | None = None  # local | api
    engine: str | None = None  # our own server's, and its device, once it has told them
    device: str | None = None
    configuration: str | None = None  # its file; None: the defaults


def running_of(progress: Progress) -> list[Mapping[str, Any]]:
    return [asdict(entry) for entry in progress.running.values()]


def write(state_dir: str, snapshot: Snapshot) -> None:
    """Replace the status file. A reader sees the old one or the new one, never half of one."""
    target = os.path.join(state_dir, FILE_NAME)
    temporary = f"{target}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(asdict(snapshot), file, ensure_ascii=True)
    os.replace(temporary, target)


def read(state_dir: str) -> dict[str, Any] | None:
    """The last status that a service wrote here; None if there is none that can be read."""
    try:
        with open(os.path.join(state_dir, FILE_NAME), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
