"""Jobs for the journal's tests, with only what a test wants to be special."""

from __future__ import annotations

import os
from typing import Any

from stemwatch.job import Identity, Job, JobState, Options
from tests.acceptance.harness import Home


def new_job(number: int = 1, **fields: Any) -> Job:
    """A queued job that is not in any journal yet; another `number` is another file."""
    given: dict[str, Any] = {
        "id": 0,
        "state": JobState.QUEUED,
        "path": f"/inbox/song-{number}.wav",
        "relpath": f"song-{number}.wav",
        "identity": Identity(1, number, 1000, 1),
        "sha256": f"{number:064x}",
        "content_key": f"content-{number}",
        "options": Options(),
        "outbox": "/outbox",
        "duration": 60.0,
    }
    return Job(**{**given, **fields})


def queued_song(home: Home, number: int) -> Job:
    """A file in the inbox of `home`, and its job, which is not in the journal yet."""
    path = home.inbox / f"song {number}.wav"
    path.write_bytes(os.urandom(1000))
    job = new_job(path=str(path), relpath=path.name, identity=Identity.of(os.stat(path)))
    return job.evolve(
        outbox=str(home.outbox),
        sha256=f"{number:064x}",
        content_key=f"content-{number}",
        duration=2.0,
    )
