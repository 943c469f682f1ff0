"""Jobs for the journal's tests, with only what a test wants to be special."""

from __future__ import annotations

from typing import Any

from stemwatch.job import Identity, Job, JobState, Options


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
