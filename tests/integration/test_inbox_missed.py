"""Files that could not be taken in: another scan finds them, and one run waits for it, or tells."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from stemwatch.codes import Code
from stemwatch.errors import PauseService, StemwatchError
from stemwatch.inbox.names import Filter
from stemwatch.inbox.reading import Changed
from stemwatch.inbox.rounds import Rounds
from stemwatch.inbox.scan import Found
from stemwatch.inbox.settle import Settler
from stemwatch.inbox.taking.admitting import Admitting
from stemwatch.inbox.unreadable import Unreadable
from stemwatch.inbox.watcher import Watcher
from stemwatch.job import Identity
from stemwatch.journal.journal import Journal, StaleJob
from tests.support.rounds import Front
from tests.support.waiting import Clock, wait_for_async


class Service(Front):
    """It raises `fault` at so many tries, then takes in each file."""

    def __init__(self, fault: type[Exception] = Changed, times: int = 0) -> None:
        self.fault, self.times = fault, times
        self.admitted: list[str] = []
        self.troubles: list[StemwatchError] = []

    async def admit(self, found: Found, *, patient: bool) -> None:  # noqa: ARG002
        if self.times > 0:
            self.times -= 1
            if issubclass(self.fault, PauseService):
                raise PauseService("the journal's disk is full.", code=Code.JOURNAL)
            raise self.fault(found.path)
        self.admitted.append(found.relpath)

    def trouble(self, fault: StemwatchError) -> None:
        self.troubles.append(fault)


@asynccontextmanager
async def _going(inbox: Path, service: Service) -> AsyncIterator[Rounds]:
    """Rounds that go on through `inbox`, which holds one song."""
    inbox.mkdir()
    (inbox / "a.mp3").write_bytes(b"song")
    journal = Journal(os.fspath(inbox.parent / "journal.sqlite3"))
    rounds = Rounds(
        os.fspath(inbox),
        filter=Filter(("mp3",), ()),
        settler=Settler(0.02, samples=2, capacity=9, patience=1.0, compare_inode=True),
        watcher=Watcher(
            os.fspath(inbox), mode="poll", loop=asyncio.get_running_loop(), wake=lambda: None
        ),
        journal=journal,
        front=service,
        rescan_seconds=0.8,
    )
    task = asyncio.create_task(rounds.run(), name="rounds")
    try:
        yield rounds
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        journal.close()


@pytest.mark.parametrize("fault", [Changed, FileNotFoundError, StaleJob])
def test_one_run_waits_for_a_song_that_the_next_scan_takes_in(
    tmp_path: Path, fault: type[Exception]
) -> None:
    """It ended before, with exit code 0 and the song left."""

    async def rounds() -> None:
        service = Service(fault, 1)
        async with _going(tmp_path / "inbox", service) as going:
            await wait_for_async(lambda: going.idle)
            assert service.admitted == ["a.mp3"]
            assert not going.missed
            assert service.troubles == []

    asyncio.run(rounds())


def test_one_run_does_not_wait_for_ever_for_a_song_that_changes_each_time(tmp_path: Path) -> None:
    """A file system that tells another time with each look: three more scans, then it is told."""

    async def rounds() -> None:
        service = Service(Changed, 100)
        async with _going(tmp_path / "inbox", service) as going:
            await wait_for_async(lambda: going.idle)
            assert going.missed
            assert 0 < service.times <= 96

    asyncio.run(rounds())


def test_one_run_does_not_wait_for_what_a_person_has_to_mend(tmp_path: Path) -> None:
    """It tells instead; and a service that goes on takes the song in once that is mended."""

    async def rounds() -> None:
        service = Service(PauseService, 1000)
        async with _going(tmp_path / "inbox", service) as going:
            await wait_for_async(lambda: going.idle)
            assert (going.missed, service.admitted) == (True, [])
            service.times = 0
            await wait_for_async(lambda: service.admitted)
            assert not going.missed

    asyncio.run(rounds())


def _following(
    path: Path, service: Service, clock: Clock, answers: Callable[[], None]
) -> tuple[Admitting, Settler]:
    """The file at `path`, followed since now."""

    async def asked() -> None:
        answers()

    settler = Settler(2.0, samples=3, capacity=9, patience=9.0, compare_inode=True)
    admitting = Admitting(
        settler,
        service,
        Unreadable(),
        guess=None,
        answers=asked,
        ended=lambda: None,
        lost=lambda _: None,
        clock=clock,
    )
    found = Found(os.fspath(path), path.name, Identity.of(path.lstat()))
    settler.track(found, clock())
    return admitting, settler


def test_a_song_that_is_gone_with_its_share_is_followed_further(tmp_path: Path) -> None:
    """The share is back before any round could tell. The song was forgotten until the next scan."""
    inbox, away = tmp_path / "inbox", tmp_path / "away"
    inbox.mkdir()
    song, clock, service = inbox / "a.mp3", Clock(), Service()
    song.write_bytes(b"song")

    def answers() -> None:
        if not inbox.is_dir():
            raise PauseService("the inbox is not there.", code=Code.INBOX)

    async def settle() -> None:
        admitting, settler = _following(song, service, clock, answers)
        clock.now += 1
        inbox.rename(away)
        with pytest.raises(PauseService):
            await admitting.sample_due()
        assert os.fspath(song) in settler
        away.rename(inbox)
        for _ in range(3):
            assert not admitting.idle
            clock.now += 2
            await admitting.sample_due()
        await wait_for_async(lambda: service.admitted)

    asyncio.run(settle())


def test_a_song_that_was_taken_out_is_forgotten(tmp_path: Path) -> None:
    """The share is there, and answers."""
    song, clock = tmp_path / "a.mp3", Clock()
    song.write_bytes(b"song")

    async def settle() -> None:
        admitting, settler = _following(song, Service(), clock, lambda: None)
        clock.now += 1
        song.unlink()
        await admitting.sample_due()
        assert os.fspath(song) not in settler
        assert (admitting.idle, bool(admitting.missed)) == (True, False)

    asyncio.run(settle())
