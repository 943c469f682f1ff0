"""The server's jobs on a real disk, and what cleans them up, wherever the records are kept."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stemwatch.errors import AlreadyRunning
from stemwatch.server.cluster.database import Database
from stemwatch.server.cluster.pg_records import PgRecords, orphans
from stemwatch.server.cluster.tickets_of_jobs import Tickets
from stemwatch.server.engines import ENGINES, Placed
from stemwatch.server.offer import Offer
from stemwatch.server.work.attempt import Attempts
from stemwatch.server.work.cleanup import Cleanup
from stemwatch.server.work.job_files import NOTE, Files
from stemwatch.server.work.json_records import JsonRecords
from stemwatch.server.work.record import Record, input_name
from stemwatch.server.work.records import NotEnough, Records
from stemwatch.server.work.trial import Trial
from tests.support.postgres import Postgres, needs_postgres

pytestmark = pytest.mark.xdist_group("cluster")  # they share a database server


@dataclass
class Kept:
    """Records and their files; `again` opens them as a server does after a restart."""

    files: Files
    records: Records
    again: Callable[[], Kept]
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    def add(self, allowance: int | None = None, **changes: object) -> Record:
        job_id, folder = self.files.begin()
        Path(folder, "input.wav").write_bytes(b"audio")
        values = {
            "name": "a\udc80.wav",
            "input": "input.wav",
            "stems": 2,
            "format": "wav",
            "engine": "copy",
            "created_at": 1.0,
            **changes,
        }
        record: Record = Record(id=job_id, **values)  # type: ignore[arg-type]
        try:
            made: Record = self.run(self.records.add(record, allowance))
            return made
        finally:
            self.files.discard(job_id)

    def completed(self, finished_at: float, **changes: object) -> Record:
        record = self.add(**changes)
        work = self.files.work_folder(record)
        Path(work, "vocals.wav").write_bytes(b"stem")
        done = record.evolve(
            state="completed", finished_at=finished_at, files={"vocals": "vocals.wav"}
        )
        assert self.run(self.records.complete(done, work))
        return done

    def get(self, record: Record) -> Record | None:
        found: Record | None = self.run(self.records.get(record.id))
        return found


def local(data: Path) -> Kept:
    records = JsonRecords(Files(str(data)))

    def again() -> Kept:
        records.close()
        return local(data)

    return Kept(records.files, records, again, asyncio.run)


def cluster(data: Path, url: str, loop: asyncio.AbstractEventLoop, opened: list[Database]) -> Kept:
    database = Database(url, "the test")
    opened.append(database)
    tickets, files = Tickets(database), Files(str(data), "me")
    files.open()
    records = PgRecords(database, tickets, files)

    async def start() -> None:
        await database.open()
        await tickets.open()

    loop.run_until_complete(start())

    def again() -> Kept:
        loop.run_until_complete(database.close())
        return cluster(data, url, loop, opened)

    return Kept(files, records, again, loop.run_until_complete)


@pytest.fixture(params=["json", pytest.param("postgres", marks=needs_postgres)])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "json":
        yield local(tmp_path / "data")
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    loop, opened = asyncio.new_event_loop(), list[Database]()
    yield cluster(tmp_path / "data", postgres.create(tmp_path.name), loop, opened)
    # A pool that is only cancelled may go on connecting, and its tasks never end.
    loop.run_until_complete(opened[-1].close())
    loop.close()


def test_jobs_are_there_after_a_restart(kept: Kept) -> None:
    """Whatever was added or saved is read back the same, with its idempotency key."""
    waiting = kept.add(idempotency_key="k")
    done = kept.completed(5.0)
    after = kept.again()
    assert (after.get(waiting), after.get(done)) == (waiting, done)
    assert after.run(after.records.by_key("k")) == waiting
    for key, owner in ((None, ""), ("other", ""), ("k", "somebody else")):
        assert after.run(after.records.by_key(key, owner)) is None


def test_what_was_not_added_is_not_there(kept: Kept) -> None:
    """A discarded upload, one that a kill left, and a folder of somebody else are no jobs."""
    job_id, folder = kept.files.begin()
    kept.files.discard(job_id)
    assert not os.path.exists(folder)
    left, _ = kept.files.begin()
    Path(kept.files.jobs, "lost+found").mkdir()
    after = kept.again()
    for name in (left, "lost+found", "job_x"):
        assert after.run(after.records.get(name)) is None


def test_a_key_makes_one_job_of_each_owner(kept: Kept) -> None:
    """The second submission gets the first one's job, and leaves nothing behind."""
    first = kept.add(idempotency_key="k", owner="ann")
    assert kept.add(idempotency_key="k", owner="ann") == first
    other = kept.add(idempotency_key="k", owner="bob")
    assert sorted(os.listdir(kept.files.jobs)) == sorted([first.id, other.id])
    assert os.listdir(kept.files.incoming("")) == []


def test_credit_is_taken_once_and_given_back_with_the_job(kept: Kept) -> None:
    """Each owner has his own; a job that was refused for it does not exist."""
    done = kept.completed(5.0, owner="ann", credits=60)
    with pytest.raises(NotEnough) as refused:
        kept.add(100, owner="ann", credits=41)
    assert refused.value.left == 40
    kept.add(100, owner="bob", credits=100)
    kept.add(100, owner="ann", credits=40)
    assert kept.run(kept.records.spent("ann")) == 100
    assert len(os.listdir(kept.files.jobs)) == 3
    kept.run(kept.records.remove(done))
    assert kept.run(kept.records.spent("ann")) == 40


def test_another_attempt_starts_clean(kept: Kept) -> None:
    """What earlier attempts wrote is gone; a completed job has its stems and no input."""
    record = kept.add()
    first = kept.files.work_folder(record)
    Path(first, "half.wav").write_bytes(b"half")
    second = kept.files.work_folder(record)
    assert (os.path.exists(first), os.listdir(second)) == (False, [])
    done = kept.completed(5.0)
    assert set(os.listdir(kept.files.folder(done.id))) - {"job.json"} == {"stems"}


def test_only_what_the_record_lists_is_published(kept: Kept) -> None:
    """Other stems, and whatever an engine left beside them, are gone."""
    record = kept.add()
    work = kept.files.work_folder(record)
    for name in ("vocals.wav", "drums.wav"):
        Path(work, name).write_bytes(b"stem")
    Path(work, "scratch").mkdir()
    done = record.evolve(state="completed", files={"vocals": "vocals.wav"}, finished_at=1.0)
    kept.run(kept.records.complete(done, work))
    published = set(os.listdir(os.path.join(kept.files.folder(record.id), "stems")))
    assert published - {NOTE} == {"vocals.wav"}


def test_an_expired_job_is_told_of_without_its_stems(kept: Kept) -> None:
    """After its time, and for as long again; its key is free at once."""
    done = kept.completed(100.0, idempotency_key="k")
    kept.run(kept.records.expire(done))
    after = kept.again()
    left = after.get(done)
    assert left is not None
    assert (left.state, left.files) == ("expired", {})
    assert after.run(after.records.by_key("k")) is None
    assert "stems" not in os.listdir(after.files.folder(done.id))
    assert after.add(idempotency_key="k").id != done.id


def test_only_listed_stems_have_a_path(kept: Kept) -> None:
    """No name that a client can think of leads anywhere else."""
    done = kept.completed(5.0)
    expected = os.path.join(kept.files.folder(done.id), "stems", "vocals.wav")
    assert kept.files.stem_path(done, "vocals.wav") == expected
    for name in ("", ".", "..", "../job.json", "drums.wav", "/etc/passwd", "vocals.wav\0"):
        assert kept.files.stem_path(done, name) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Song.MP3", "input.mp3"),
        ("song", "input"),
        ("a.b/c", "input"),
        ("x.ü", "input"),
        ("x." + "a" * 9, "input"),
        (".wav", "input.wav"),
    ],
)
def test_an_input_keeps_only_a_plain_extension(name: str, expected: str) -> None:
    """Nothing of a client's file name reaches the disk but a short extension."""
    assert input_name(name) == expected


def test_a_job_outlives_a_disk_that_is_away(kept: Kept) -> None:
    """Its record was deleted as if its folder were; nobody would have found the stems again."""
    done = kept.completed(100.0)
    jobs = Path(kept.files.jobs)
    away = jobs.rename(jobs.with_name("away"))
    with pytest.raises(FileNotFoundError):
        kept.run(kept.records.remove(done))
    away.rename(jobs)
    assert kept.get(done) == done


def test_an_input_that_stays_does_not_undo_an_end(kept: Kept) -> None:
    """Here a folder, in a fault of a disk's: the webhooks of the end were not called."""
    record = kept.add()
    source = Path(kept.files.input_path(record))
    source.unlink()
    source.mkdir()
    work = kept.files.work_folder(record)
    done = record.evolve(state="completed", finished_at=1.0)
    assert kept.run(kept.records.complete(done, work))
    assert kept.get(record) == done


def test_a_cancelled_submission_is_whole_or_not_there(tmp_path: Path) -> None:
    """Its file was taken away from the thread that was still making the job of it."""
    kept = local(tmp_path / "data")
    job_id, folder = kept.files.begin()
    Path(folder, "input.wav").write_bytes(b"audio")
    record = Record(job_id, "a.wav", "input.wav", 2, "wav", "copy", 1.0)
    os.mkfifo(pipe := os.path.join(folder, f"{NOTE}.part"))  # the thread waits for a reader

    async def main() -> None:
        adding = asyncio.create_task(kept.records.add(record))
        await asyncio.sleep(0)
        adding.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not adding.done()
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(asyncio.CancelledError):
            await adding
        os.close(reading)

    asyncio.run(main())
    assert kept.get(record) is None


def test_one_server_for_a_folder(tmp_path: Path) -> None:
    """A second one is refused, by the folder's name."""
    first = local(tmp_path / "data")
    with pytest.raises(AlreadyRunning, match="data"):
        JsonRecords(first.files)


def test_only_what_nobody_knows_is_an_orphan(tmp_path: Path) -> None:
    """A folder that a server of its own left here has a record, if not in the database."""
    own = local(tmp_path / "data")
    own.completed(5.0)
    (cut_off := Path(own.files.jobs, "job_cut-off")).mkdir()
    assert orphans(own.files, age=60.0) == []
    assert orphans(own.files, age=-60.0) == [cut_off.name]


def test_results_expire_after_they_ended(kept: Kept) -> None:
    """What still waits never expires, however old."""
    waiting = kept.add()
    old, new = kept.completed(100.0), kept.completed(200.0)
    assert [one.id for one in kept.run(kept.records.ended_before(150.0))] == [old.id]
    kept.run(kept.records.remove(old))
    assert kept.get(old) is None
    assert not os.path.exists(kept.files.folder(old.id))
    assert (kept.get(new), kept.get(waiting)) == (new, waiting)


def test_a_wait_for_room_is_told_once(kept: Kept) -> None:
    """When it begins and when it ends, however many jobs wait, and again for the next one."""
    lines: list[str] = []
    short = Cleanup(kept.files, kept.records, 1e9, 1 << 60, lines.append, retry=0.01)

    async def main() -> None:
        for _ in range(2):
            short.min_free = 1 << 60
            waiting = [asyncio.create_task(short.wait_for_room()) for _ in range(3)]
            while short.waiting < len(waiting):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            short.min_free = 0
            await asyncio.gather(*waiting)
            await short.wait_for_room()

    kept.run(main())
    assert [line.partition(":")[0] for line in lines] == 2 * [
        "jobs wait for room",
        "there is room again",
    ]
    assert short.waiting == 0


def test_a_job_that_can_not_be_changed_holds_up_no_other(kept: Kept) -> None:
    """Somebody deleted its folder, or took its rights: the rest is cleaned all the same."""
    now = time.time()
    stuck, old = kept.completed(now - 15.0), kept.completed(now - 14.0)
    shutil.rmtree(kept.files.folder(stuck.id))
    lines: list[str] = []
    cleanup = Cleanup(kept.files, kept.records, 10.0, 0, lines.append)
    for _ in range(2):
        kept.run(cleanup.remove_old())
    left = kept.get(old)
    assert left is not None
    assert left.state == "expired"
    assert len(lines) == (1 if isinstance(kept.records, JsonRecords) else 0)
    assert all(stuck.id in line for line in lines)


def test_one_that_stays_is_passed_over_for_room(kept: Kept) -> None:
    """A file lies in the way of the oldest: the next one is given up, and it once that has gone."""
    stuck, old = (kept.completed(at, credits=7) for at in (100.0, 101.0))
    (obstacle := Path(kept.files.incoming(stuck.id))).write_bytes(b"in the way")
    lines: list[str] = []
    short = Cleanup(kept.files, kept.records, 1e9, 1 << 60, lines.append)
    assert not kept.run(short.has_room(0))
    assert (kept.get(stuck), kept.get(old)) == (stuck, None)
    assert kept.run(kept.records.spent("")) == 7
    assert [line.partition(":")[0] for line in lines if "removed" in line] == [
        f"{stuck.id} can't be removed"
    ]
    obstacle.unlink()
    assert not kept.run(short.has_room(0))
    assert (kept.get(stuck), kept.run(kept.records.spent(""))) == (None, 0)
    assert os.listdir(kept.files.jobs) == []


def test_a_larger_result_costs_old_ones_before_it_is_made(kept: Kept) -> None:
    """By the songs' lengths: none where all would not make room. It is tried all the same."""
    old, new = kept.completed(100.0, duration=1.0), kept.completed(1e12)
    song = kept.add(duration=1e9, stems=4, format="flac")
    asked: list[int] = []
    cleanup = Cleanup(kept.files, kept.records, 1e9, 0, print)

    async def room(needed: int) -> None:
        asked.append(needed)
        await cleanup.wait_for_room(needed)

    offer = Offer(ENGINES["spectral"], Placed("m:f"), 1)
    trial = Trial(None, kept.files, print)
    attempts = Attempts(files=kept.files, records=kept.records, offer=offer, trial=trial,
                        report=print, room=room)  # fmt: skip
    kept.run(attempts.room_for(song.id))
    assert asked == [4 * 176_400 * 10**9]
    assert kept.get(old) == old
    long = kept.completed(101.0, duration=4e9)
    kept.run(attempts.room_for(song.id))
    left = [kept.get(one) is not None for one in (old, long, new, song)]
    assert left == [False, False, True, True]


def test_a_short_disk_gives_up_the_oldest(kept: Kept) -> None:
    """Old results go when room is needed, work that waits and new results never."""
    waiting, old = kept.add(), kept.completed(100.0)
    new = kept.completed(1e12)
    lines: list[str] = []
    plenty = Cleanup(kept.files, kept.records, keep=1e9, min_free=0, report=lines.append)
    assert kept.run(plenty.has_room(0))
    assert kept.get(old) is not None
    free = kept.files.free()
    short = Cleanup(kept.files, kept.records, keep=1e9, min_free=free * 2, report=lines.append)
    assert not kept.run(short.has_room(0))
    assert [kept.get(one) is not None for one in (waiting, old, new)] == [True, False, True]
    assert not os.path.exists(kept.files.folder(old.id))


def test_results_that_go_early_are_told_of_once(kept: Kept) -> None:
    """It was done in silence. Again only after an hour without: a disk may stay short for long."""
    lines: list[str] = []
    now = 0.0
    short = Cleanup(kept.files, kept.records, 1e9, 1 << 60, lines.append, clock=lambda: now)
    for now in (0.0, 3000.0, 6000.0, 10_000.0):  # noqa: B007 (the clock reads it)
        kept.completed(100.0)
        kept.completed(200.0)
        assert not kept.run(short.has_room(0))
    told = f"{kept.files.root} has no room: results older than 10 minutes are given up"
    assert [line.startswith(told) for line in lines] == [True, True]
