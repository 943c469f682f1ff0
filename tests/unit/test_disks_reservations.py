"""Too little room for one song more must not hold back what is paid for; room is given once."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from stemwatch.codes import FETCH, FILE, POLL, SUBMIT
from stemwatch.disks.reservations import Reservations
from stemwatch.disks.space import needed_bytes
from stemwatch.errors import PauseService
from stemwatch.job import Job, Options
from stemwatch.workers.pacing.gate import Gate
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pool.choosing.passing import held, passing
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job


def test_too_little_room_holds_back_submitting_only() -> None:
    """Stems that wait to be fetched would otherwise keep their room reserved for ever."""
    gate = Gate(Timing(), lambda: 0.0)
    gate.pause(PauseService("46 MB free, 47 MB needed.", code="room"))
    assert gate.closed(SUBMIT) is not None
    assert [what for what in (POLL, FETCH, FILE) if gate.closed(what)] == []


def test_room_is_looked_for_as_often_as_a_disk() -> None:
    """Whoever frees some space waits for seconds, not for an account's backoff of up to an hour."""
    timing = Timing()
    gate = Gate(timing, lambda: 0.0)
    for _ in range(9):
        gate.pause(PauseService("46 MB free, 47 MB needed.", code="room"))
    assert [pause.until for pause in gate.pauses] == [timing.disk_recheck]


def test_room_is_looked_for_on_no_other_persons_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That disk may hang, and everybody's uploads with it."""
    his, hers = tmp_path / "his", tmp_path / "hers"
    his.mkdir()
    hers.mkdir()
    space = Reservations()
    space.reserve(new_job(1, id=1, outbox=str(hers)))
    asked: list[str] = []
    stat = os.stat
    monkeypatch.setattr(
        os, "stat", lambda path, **how: asked.append(str(path)) or stat(path, **how)
    )
    space.require(new_job(2, id=2, outbox=str(his)))
    assert asked
    assert str(hers) not in asked


def test_room_on_another_disk_is_not_this_ones(tmp_path: Path) -> None:
    """Where nothing is known of a folder's disk, it may be this one."""
    other = "/somewhere/else"
    found = os.statvfs(tmp_path)
    more_than_all = found.f_blocks * found.f_frsize / 2 / 384_000
    space = Reservations()
    space.reserve(new_job(1, id=1, outbox=other, duration=more_than_all))
    song = new_job(2, id=2, outbox=str(tmp_path), duration=1.0)
    with pytest.raises(PauseService, match="free"):
        space.require(song)
    space.know({other: os.stat(tmp_path).st_dev + 1})
    space.require(song)
    space.know({other: None})
    space.require(song)


def test_two_uploads_never_see_the_room_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look at the disk before either has reserved: one of them gets the room."""
    both = threading.Barrier(2)
    statvfs = os.statvfs

    def at_the_same_time(path: str) -> os.statvfs_result:
        both.wait(10)
        return statvfs(path)

    async def scenario() -> None:
        home = Home(tmp_path, "http://127.0.0.1:1/v1")
        async with context_of(home) as ctx:
            found = statvfs(home.outbox)
            free = found.f_bavail * found.f_frsize
            song = new_job(1).evolve(outbox=str(home.outbox), options=Options(2, "wav"))
            half = song.evolve(duration=free * 0.6 / 2 / 384_000)
            monkeypatch.setattr(os, "statvfs", at_the_same_time)
            jobs = [half.evolve(id=1), half.evolve(id=2)]
            tries = [asyncio.to_thread(ctx.space.require, job) for job in jobs]
            answers = await asyncio.gather(*tries, return_exceptions=True)
            refused = [answer for answer in answers if answer is not None]
            assert [getattr(answer, "code", answer) for answer in refused] == ["room"]
            assert len(ctx.space) == 1

    asyncio.run(scenario())


MB = 1 << 20


def song(number: int, megabytes: int, outbox: Path) -> Job:
    """A song whose results may take so many MB, and a little more."""
    least = needed_bytes(0.0, Options())
    seconds = (megabytes * MB - least) / (2 * 384_000)
    return new_job(number, outbox=str(outbox), duration=seconds + 0.01).evolve(id=number)


class Disk:
    """What `statvfs` says is free; the folder itself is any one."""

    def __init__(self, megabytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = megabytes
        statvfs = os.statvfs

        def told(path: str) -> os.statvfs_result:
            found = statvfs(path)
            blocks = self.free * MB // found.f_frsize
            return os.statvfs_result((*found[:4], blocks, *found[5:]))

        monkeypatch.setattr(os, "statvfs", told)


def refused(space: Reservations, job: Job) -> bool:
    try:
        space.require(job)
    except PauseService:
        return True
    return False


def test_what_passes_by_takes_what_no_other_song_has_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, space = Disk(100, monkeypatch), Reservations()
    assert not refused(space, song(1, 30, tmp_path))
    long = song(2, 120, tmp_path)
    assert refused(space, long)
    space.wait_with(long)
    assert space.passing(None) // MB == 69
    assert not refused(space, song(3, 60, tmp_path))
    assert space.passing(None) // MB == 9
    assert refused(space, song(4, 10, tmp_path))
    assert space.awaited(None) == 2
    space.release(3)
    assert space.may_go_on(None)
    assert not space.is_there(None)
    assert not space.may_go_on(None)
    assert space.passing(None) // MB == 69
    disk.free = 160
    assert space.is_there(None)
    assert space.may_go_on(None), "the pause is about to end"


def test_none_passes_by_a_song_that_only_waits_for_what_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A steady stream of short songs would take its room for ever."""
    disk, space = Disk(100, monkeypatch), Reservations()
    assert not refused(space, song(1, 30, tmp_path))
    long = song(2, 80, tmp_path)
    assert refused(space, long)
    space.wait_with(long)
    assert space.passing(None) == 0
    disk.free = 75  # the stems of the first take some of it
    space.release(1)
    assert not space.is_there(None)
    assert space.passing(None) == 75 * MB


def test_what_passes_is_told_alike_to_lanes_and_web(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller of the web's API, who waits for the answer, is let in where the lane is."""
    Disk(100, monkeypatch)
    short = song(2, 99, tmp_path)

    async def main() -> None:
        async with context_of(Home(tmp_path, "http://127.0.0.1:1/v1")) as ctx:
            assert passing(ctx, SUBMIT, None) is None
            with pytest.raises(PauseService) as fault:
                ctx.space.require(song(1, 120, tmp_path))
            ctx.space.wait_with(song(1, 120, tmp_path))
            ctx.gate.pause(fault.value)
            assert passing(ctx, FETCH, None) is None
            assert passing(ctx, SUBMIT, None) == 100 * MB
            assert held(ctx, None) is None
            assert held(ctx, None, short) is None
            assert held(ctx, None, song(3, 101, tmp_path)) is not None
            ctx.gate.pause(PauseService("no credit.", code="credit"))
            assert getattr(held(ctx, None, short), "code", None) == "credit"

    asyncio.run(main())


def test_a_pause_for_credit_is_tried_beside_a_song_without_room() -> None:
    """It would last for as long as that song waits: the songs that pass by are those that try."""
    gate = Gate(Timing(), lambda: 0.0)
    gate.pause(PauseService("46 MB free, 47 MB needed.", code="room"))
    assert gate.lets(SUBMIT, None)
    gate.pause(PauseService("402.", code="credit", after=0.0))
    assert not gate.lets(SUBMIT, None)
    (credit,) = gate.bars(SUBMIT, None)
    gate.clear(credit)
    assert [pause.code for pause in gate.trial()] == ["credit"]
