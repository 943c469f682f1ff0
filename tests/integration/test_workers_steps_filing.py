"""What is told of a file that was moved into the quarantine, and what lies beside it there."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from pathlib import Path

import pytest

from stemwatch.disks.places import Place
from stemwatch.job import Identity, JobState
from stemwatch.workers.steps.filing import file, reason_of
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job


def test_hooks_and_the_reason_file_tell_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the move took: noting where the file is now is no second quarantine."""

    async def scenario() -> None:
        home = Home(tmp_path, "http://127.0.0.1:1/v1")
        place = Place(str(home.outbox), inbox=str(home.inbox), quarantine=str(home.quarantine))
        async with context_of(home, place=place) as context:
            times = itertools.count(1_795_000_000.0, 60.0)
            monkeypatch.setattr(context.journal, "_clock", lambda: next(times))
            song = home.inbox / "broken.wav"
            song.write_bytes(b"no song")
            job = new_job(1).evolve(
                path=os.fspath(song),
                relpath=song.name,
                identity=Identity.of(song.lstat()),
                outbox=str(home.outbox),
                state=JobState.QUARANTINED,
                code="not_audio",
                message="no.",
                sha256="",
            )
            held = await context.journal.add(job)
            filed = await file(context, held)
            assert filed.filed_to == os.fspath(home.quarantine / "broken.wav")
            assert reason_of(filed)["quarantined_at"] == reason_of(held)["quarantined_at"]
            written = json.loads((home.quarantine / "broken.wav.reason.json").read_text())
            assert written["quarantined_at"] == "2026-11-18T11:06:40Z"

    asyncio.run(scenario())
