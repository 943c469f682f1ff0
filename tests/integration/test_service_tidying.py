"""Tidying a large quarantine takes little memory, and a moment without open files ends nothing."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from stemwatch.disks.places import Place
from stemwatch.job import Job, JobState
from stemwatch.journal.journal import Journal
from stemwatch.service.upkeep import archive_age, ghosts
from stemwatch.service.upkeep.held import Held
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job

ENTRIES, GONE = 20, 5


def refused(home: Home, number: int) -> Job:
    """A song of the inbox whose file is in the quarantine."""
    name = f"song {number}.wav"
    filed = home.quarantine / name
    filed.write_bytes(b"no sound")
    job = new_job(number, path=str(home.inbox / name), relpath=name, filed_to=str(filed))
    return job.evolve(state=JobState.QUARANTINED, code="unreadable", outbox=str(home.outbox))


def test_entries_are_held_whole_only_where_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarantine may have thousands of them, and each whole one takes 4 kB.

    One is retried after it was looked at: what its entry was then is no reason to end it.
    """
    home, lstat = Home(tmp_path, "http://127.0.0.1:9/v1"), os.lstat
    place = Place(str(home.outbox), str(home.inbox), str(home.quarantine), None)
    whole: list[int] = []

    async def retry_the_last(path: str) -> None:
        with closing(Journal(path)) as other:
            last = await other.get(ENTRIES)
            assert last is not None
            await other.advance(last, JobState.QUEUED, filed_to=None)

    async def scenario() -> dict[str, int]:
        async with context_of(home, place=place) as ctx:
            for number in range(ENTRIES):
                await ctx.journal.add(refused(home, number))
            for number in range(ENTRIES - GONE, ENTRIES):
                os.unlink(home.quarantine / f"song {number}.wav")

            def looked(path: str) -> os.stat_result:  # in a thread
                if str(path).startswith(f"{home.quarantine}/song"):
                    jobs = [one for one in gc.get_objects() if type(one) is Job]
                    whole.append(sum(one.path.startswith(str(home.inbox)) for one in jobs))
                    if len(whole) == ENTRIES:
                        asyncio.run(retry_the_last(ctx.journal.path))
                return lstat(path)

            monkeypatch.setattr(os, "lstat", looked)
            await ghosts.strike(ctx, None, Held())
            return await ctx.journal.counts()

    counts = asyncio.run(scenario())
    told = counts["quarantined"], counts["gone"], counts["queued"]
    assert told == (ENTRIES - GONE, GONE - 1, 1)
    assert max(whole[:ENTRIES]) <= 3  # the last ones that were written and read


@contextmanager
def no_more_open_files() -> Iterator[None]:
    """As where a batch of connections has taken them all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, hard))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_moment_without_open_files_is_no_fault_of_the_journal(tmp_path: Path) -> None:
    """The look at the archive has a connection of its own: a JournalFault ended the service."""

    async def scenario() -> None:
        home = Home(tmp_path, "http://127.0.0.1:9/v1")
        place = Place(str(home.outbox), str(home.inbox), None, str(home.archive))
        async with context_of(home, place=place) as ctx:
            await ctx.journal.counts()
            held = Held()
            with no_more_open_files():
                await archive_age.delete_old(ctx, None, 30.0, now=4e9, held=held)
            assert held._now == {os.path.dirname(ctx.journal.path)}
            assert (await ctx.journal.counts())["done"] == 0

    asyncio.run(scenario())
