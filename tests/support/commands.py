"""Commands run as anybody runs them: a process, real folders, a real journal."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stemwatch.job import Identity, Job, JobState, Options, content_key
from stemwatch.journal.journal import Journal
from tests.support import warm

COMMAND = (sys.executable, "-m", "stemwatch.cli")
SHA = "ab" * 32


class Home:
    """One installation below a temporary folder: configuration, folders, journal."""

    def __init__(self, root: Path, more: str = "api: {base_url: local}") -> None:
        self.root = root
        for name in ("inbox", "outbox", "quarantine", "archive", "state"):
            setattr(self, name, root / name)
            (root / name).mkdir()
        self.config = root / "stemwatch.yaml"
        self.config.write_text(
            "folders: {inbox: inbox, outbox: outbox, quarantine: quarantine, archive: archive}\n"
            f"state_dir: state\n{more}\n"
        )

    inbox: Path
    outbox: Path
    quarantine: Path
    archive: Path
    state: Path

    @property
    def database(self) -> Path:
        return self.state / "journal.sqlite3"

    def run(self, *arguments: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        return run(*arguments, cwd=self.root, **changes)

    def journal(self, *jobs: Job) -> list[Job]:
        """Put these jobs into the journal; returns them with their ids."""

        async def add() -> list[Job]:
            journal = Journal(os.fspath(self.database))
            try:
                return [await journal.add(job) for job in jobs]
            finally:
                journal.close()

        return asyncio.run(add())

    def job(self, number: int) -> Job:
        """What the journal says of one job now."""

        async def read() -> Job:
            journal = Journal(os.fspath(self.database))
            try:
                found = await journal.get(number)
            finally:
                journal.close()
            assert found is not None
            return found

        return asyncio.run(read())

    def mount_away(self, folder: Path) -> None:
        """As if an earlier run had seen a disk at this folder: while it is empty, that is away."""

        async def note() -> None:
            journal = Journal(os.fspath(self.database))
            try:
                await journal.note(f"disk of {quote(os.fspath(folder))}", f"1 {folder}")
            finally:
                journal.close()

        asyncio.run(note())

    def quarantined(self, name: str, *, content: bytes = b"song", **changes: Any) -> Job:
        """A quarantined song, journaled, its file in the quarantine folder."""
        path = self.quarantine / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        filed = {"path": os.fspath(self.inbox / name), "filed_to": os.fspath(path)}
        job = a_job(name, Identity.of(path.lstat()), state=JobState.QUARANTINED, **filed)
        changes = {"sha256": _sha(content), "code": "bad_stem", "message": "it hums."} | changes
        return self.journal(job.evolve(outbox=os.fspath(self.outbox), **changes))[0]


def a_job(name: str, identity: Identity | None = None, **changes: Any) -> Job:
    """A plausible job of that name; `changes` are fields of `Job`."""
    job = Job(
        id=0,
        state=JobState.QUEUED,
        path=f"/inbox/{name}",
        relpath=name,
        identity=identity or Identity(1, 2, 3, 4),
        sha256=SHA,
        content_key=content_key(SHA, Options(), local=True),
        options=Options(),
        outbox="/outbox",
        duration=60.0,
    )
    return job.evolve(**changes)


def run(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    changed = environment(cwd, **(env or {}))
    return warm.run([*COMMAND, *arguments], cwd=cwd, env=changed, timeout=timeout)


def environment(home: Path, **changes: str) -> dict[str, str]:
    """Nothing of the tester's own configuration or key."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("STEM", "XDG"))}
    return {**kept, "HOME": os.fspath(home), "PYTHONPATH": os.getcwd(), **changes}


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
