"""A retry beside a running service that is quicker than it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from stemwatch import config
from stemwatch.job import Job, JobState
from stemwatch.journal.journal import Journal
from stemwatch.operations.mounted_folders import Disks
from stemwatch.operations.retrying import Retried, bring_back
from tests.support.commands import Home


def retried(home: Home, job: Job) -> Retried:
    settings = config.load(os.fspath(home.config), env={"HOME": os.fspath(home.root)})

    async def retry() -> Retried:
        journal = Journal(os.fspath(home.database))
        try:
            return await bring_back(
                journal, job, settings.every_inbox[0], Disks(journal), running=True
            )
        finally:
            journal.close()

    return asyncio.run(retry())


@pytest.mark.parametrize("folder", ["inbox", "quarantine"])
def test_a_file_that_is_refused_again_while_it_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """It was never measured, so looking at it again was all that was asked for."""
    home = Home(tmp_path)
    job = home.quarantined("a.mp3", duration=None, sha256="", code="too_large")
    shown, filed = home.inbox / "a.mp3", home.quarantine / "a.mp3"
    real, seen = os.fsync, getattr(home, folder).stat()

    def fsync(fd: int) -> None:
        real(fd)
        if os.path.samestat(os.fstat(fd), seen) and shown.exists():
            shown.rename(filed)  # as the service does with one that it refuses

    monkeypatch.setattr(os, "fsync", fsync)
    told = retried(home, job)
    assert (told.path, told.words) == (os.fspath(shown), "is looked at again")
    assert home.job(job.id).state is JobState.GONE
    assert filed.read_bytes() == b"song"
