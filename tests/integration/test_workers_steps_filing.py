"""What is told of a file that was moved into the quarantine, and what lies beside it there."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
from pathlib import Path

import pytest

from stemwatch.disks.places import Place
from stemwatch.inbox.finished import is_known
from stemwatch.inbox.scan import Found
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


def test_another_song_of_the_same_size_and_time_on_a_share_is_a_new_drop(tmp_path: Path) -> None:
    """Inodes are not compared there: as the delivered one it would lie in the inbox for good."""

    async def scenario() -> None:
        home = Home(tmp_path, "http://127.0.0.1:1/v1")
        home.archive.mkdir()
        place = Place(
            str(home.outbox),
            inbox=str(home.inbox),
            archive=str(home.archive),
            after_success="archive",
            network=True,
        )
        async with context_of(home, place=place) as context:
            song = home.inbox / "song.wav"
            song.write_bytes(b"one song")
            job = new_job(1).evolve(
                path=os.fspath(song),
                relpath=song.name,
                identity=Identity.of(song.lstat()),
                outbox=str(home.outbox),
                state=JobState.DELIVERED,
                sha256=hashlib.sha256(b"one song").hexdigest(),
            )
            delivered = await context.journal.add(job)
            (home.inbox / "new").write_bytes(b"another.")
            os.utime(home.inbox / "new", ns=(job.identity.mtime_ns, job.identity.mtime_ns))
            os.replace(home.inbox / "new", song)
            assert (await file(context, delivered)).state is JobState.DONE
            assert song.read_bytes() == b"another."
            found = Found(os.fspath(song), song.name, Identity.of(song.lstat()))
            known = await context.journal.known([found.path])
            assert place.same(job.identity, found.identity)
            assert not is_known(found, known, place.same)

    asyncio.run(scenario())


def test_a_song_that_is_to_be_done_again_is_not_moved(tmp_path: Path) -> None:
    """`retry` without a service, and one that was just started: the original was deleted."""

    async def scenario() -> None:
        home = Home(tmp_path, "http://127.0.0.1:1/v1")
        place = Place(str(home.outbox), inbox=str(home.inbox), after_success="delete")
        async with context_of(home, place=place) as context:
            song = home.inbox / "song.wav"
            song.write_bytes(b"one song")
            job = new_job(1).evolve(
                path=os.fspath(song),
                identity=Identity.of(song.lstat()),
                outbox=str(home.outbox),
                state=JobState.QUARANTINED,
                code="overdue",
            )
            claimed = await context.journal.add(job)
            again = await context.journal.advance(claimed, JobState.QUEUED)
            assert await file(context, claimed) == again
            assert song.read_bytes() == b"one song"

    asyncio.run(scenario())
