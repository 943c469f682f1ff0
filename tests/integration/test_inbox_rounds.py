"""Rounds over songs that are kept in the inbox: looked at each time, looked up once."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from stemwatch.disks.opening import NotYet
from stemwatch.inbox.names import Filter
from stemwatch.inbox.rounds import Rounds
from stemwatch.inbox.scan import Found
from stemwatch.inbox.settle import Settler
from stemwatch.inbox.taking.admitting import AT_ONCE
from stemwatch.inbox.unreadable import OwnFaults, Unreadable
from stemwatch.inbox.watcher import Watcher
from stemwatch.job import Identity, Job, JobState
from stemwatch.journal.journal import Journal
from tests.support.commands import a_job
from tests.support.rounds import Front
from tests.support.waiting import wait_for_async


class Service(Front):
    """It notes what is handed to it."""

    def __init__(self) -> None:
        self.admitted: list[str] = []
        self.odd: set[str] = set()  # songs over which our own code fails
        self.tried: list[str] = []  # ... and each time that it did
        self.told: list[Exception] = []
        self.expected: list[str] = []  # every name so far
        self.ahead: set[str] = set()  # those that are not forgotten

    async def admit(self, found: Found, *, patient: bool) -> None:  # noqa: ARG002
        if found.relpath in self.odd:
            self.tried.append(found.relpath)
            raise TypeError("an argument that the library does not know")
        self.admitted.append(found.relpath)

    def unforeseen(self, fault: Exception) -> None:
        self.told.append(fault)

    def expect(self, path: str, seen: Identity) -> None:  # noqa: ARG002
        self.expected.append(os.path.basename(path))
        self.ahead.add(path)

    def forget(self, path: str) -> None:
        self.ahead.discard(path)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def keep(inbox: Path, name: str, **changes: object) -> Job:
    """A song that was delivered and stays where it was dropped, as a job."""
    path = inbox / name
    path.write_bytes(b"song")
    where = {"path": os.fspath(path), "filed_to": os.fspath(path), "state": JobState.DONE}
    return a_job(name, Identity.of(path.lstat()), **(where | changes))


@asynccontextmanager
async def _going(
    inbox: Path, *jobs: Job, settle: float = 0.05, capacity: int = 100
) -> AsyncIterator[tuple[Rounds, Service, Journal]]:
    """Rounds that go on through `inbox`, over a journal that has `jobs`."""
    journal, service = Journal(os.fspath(inbox.parent / "journal.sqlite3")), Service()
    for job in jobs:
        await journal.add(job)
    rounds = Rounds(
        os.fspath(inbox),
        filter=Filter(("mp3",), ()),
        settler=Settler(settle, samples=3, capacity=capacity, patience=1.0, compare_inode=True),
        watcher=Watcher(
            os.fspath(inbox), mode="poll", loop=asyncio.get_running_loop(), wake=lambda: None
        ),
        journal=journal,
        front=service,
        rescan_seconds=0.05,
    )
    task = asyncio.create_task(rounds.run(), name="rounds")
    try:
        yield rounds, service, journal
    finally:
        task.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await task
        finally:
            journal.close()


async def _scan(rounds: Rounds, times: int = 3) -> None:
    until = rounds.completed + times
    await wait_for_async(lambda: rounds.completed >= until)


def test_songs_that_are_kept_are_looked_up_once(inbox: Path) -> None:
    """And one that is rewritten or new among them is found at the next scan all the same."""

    async def rounds() -> tuple[list[str], list[str], list[str]]:
        kept = [keep(inbox, name) for name in ("a.mp3", "b.mp3")]
        async with _going(inbox, *kept) as (going, service, journal):
            await _scan(going)
            asked: list[str] = []
            journal._reader.connection.set_trace_callback(asked.append)
            await _scan(going)
            quiet = list(asked)
            (inbox / "a.mp3").write_bytes(b"another song")
            await wait_for_async(lambda: service.admitted)
            rewritten = list(service.admitted)
            (inbox / "c.mp3").write_bytes(b"a new song")
            await wait_for_async(lambda: "c.mp3" in service.admitted)
        return quiet, rewritten, asked

    quiet, rewritten, asked = asyncio.run(rounds())
    assert quiet == []
    assert rewritten == ["a.mp3"]
    assert asked


def test_what_may_change_is_looked_up_each_time(inbox: Path) -> None:
    """A song in work, or one that was filed and is back, is not taken for done."""

    async def rounds() -> list[str]:
        queued = keep(inbox, "a.mp3", state=JobState.QUEUED, filed_to=None)
        async with _going(inbox, queued) as (going, _, journal):
            await _scan(going)
            asked: list[str] = []
            journal._reader.connection.set_trace_callback(asked.append)
            await _scan(going)
        return asked

    assert len(asyncio.run(rounds())) >= 2


@pytest.mark.parametrize("becomes", ["unreadable", "gone"])
def test_one_that_does_not_stand_still_after_all_is_not_read_ahead(
    inbox: Path, becomes: str
) -> None:
    """Its seat is given back: a download that stutters must not keep it from the others."""
    song = inbox / "a.mp3"

    async def rounds() -> None:
        song.write_bytes(b"song")
        async with _going(inbox, settle=1.0) as (going, service, _):
            await wait_for_async(lambda: service.ahead == {os.fspath(song)})
            if becomes == "gone":
                song.unlink()
            else:
                going._admitting.judge(
                    os.fspath(song), NotYet(13, "Permission denied")
                )  # root may read all
            await wait_for_async(lambda: not service.ahead)
            assert service.admitted == []

    asyncio.run(rounds())


def test_one_that_changed_is_expected_anew(inbox: Path) -> None:
    """Once for each time that it stood still, and admitted once."""
    song = inbox / "a.mp3"

    async def rounds() -> None:
        song.write_bytes(b"song")
        async with _going(inbox, settle=1.0) as (_, service, _):
            await wait_for_async(lambda: service.expected)
            song.write_bytes(b"a longer song")
            await wait_for_async(lambda: service.admitted)
            assert service.expected == ["a.mp3", "a.mp3"]
            assert service.admitted == ["a.mp3"]

    asyncio.run(rounds())


@pytest.mark.parametrize(("songs", "ahead"), [(AT_ONCE, AT_ONCE), (AT_ONCE + 1, 0)])
def test_in_a_crowd_nothing_is_read_ahead(inbox: Path, songs: int, ahead: int) -> None:
    """Those that have settled come first."""

    async def rounds() -> None:
        for number in range(songs):
            (inbox / f"{number}.mp3").write_bytes(b"song")
        async with _going(inbox, settle=0.5) as (_, service, _):
            await wait_for_async(lambda: service.admitted)
            assert len(set(service.expected)) == ahead

    asyncio.run(rounds())


def test_what_is_evicted_is_forgotten_everywhere(inbox: Path) -> None:
    """Thousands that nobody may open pass through one place, for years: one is remembered."""

    async def rounds() -> int:
        async with _going(inbox, capacity=1) as (going, _, _):
            await _scan(going)
            for number in range(200):
                path = inbox / f"{number}.mp3"
                found = Found(os.fspath(path), path.name, Identity(1, number, 4, 5))
                assert going._follow(found, 0.0, new=True)
                going._admitting.judge(
                    found.path, NotYet(13, "Permission denied")
                )  # root may read all
            del found
            gc.collect()
            return sum(isinstance(one, Found) for one in gc.get_objects())

    assert asyncio.run(rounds()) == 1


def test_a_fault_of_their_own_ends_the_rounds(inbox: Path) -> None:
    """Not even what forgets a song may die unheard: it would be taken for under way for good."""

    def fail(path: str) -> None:
        raise ZeroDivisionError(path)

    def gone() -> bool:
        return "rounds" not in {task.get_name() for task in asyncio.all_tasks()}

    async def rounds() -> None:
        async with _going(inbox) as (_, service, _):
            service.forget = fail  # type: ignore[method-assign]
            (inbox / "a.mp3").write_bytes(b"song")
            await wait_for_async(gone)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(rounds())


def test_one_file_that_meets_a_fault_of_ours_waits_alone(inbox: Path) -> None:
    """Told once, listed, and not tried at every round; the others go on."""

    async def rounds() -> None:
        async with _going(inbox) as (going, service, _):
            service.odd.add("odd.mp3")
            (inbox / "odd.mp3").write_bytes(b"song")
            await wait_for_async(lambda: service.told)
            for number in range(3):
                (inbox / f"{number}.mp3").write_bytes(b"song")
            await _scan(going, 20)
            assert service.admitted == []  # for half a minute: it may be everybody's
            assert service.tried == ["odd.mp3"]
            assert list(going.unreadable) == [os.fspath(inbox / "odd.mp3")]
            assert going.idle, "one run is not to wait for us to mend it"

    asyncio.run(rounds())


def test_a_fault_of_ours_is_looked_for_ever_more_rarely() -> None:
    """Everybody's, until another song passes; then the one that goes on to fail waits alone."""
    settler = Settler(1.0, samples=2, capacity=9, patience=1.0, compare_inode=True)
    faults = OwnFaults(settler, Unreadable())
    odd, fault, now = Found("/in/odd", "odd", Identity(1, 2, 3, 4)), TypeError("ours"), 100.0
    settler.track(odd, now)

    def gap(*, everybodys: bool) -> float:
        nonlocal now
        assert faults.met(odd, fault, now) is everybodys
        assert faults.rests(now) is everybodys
        began, now = now, settler.next_due() or 0.0
        assert settler.due(now, 9) == ["/in/odd"]
        return now - began

    assert [gap(everybodys=True) for _ in range(5)] == [30.0, 60.0, 120.0, 240.0, 300.0]
    assert faults.met(odd, fault, now)
    faults.passed("/in/other")
    assert not faults.rests(now)
    assert [gap(everybodys=False) for _ in range(2)] == [300.0, 300.0]
