"""One thread that writes for everybody: shared commits, separate failures, two processes."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stemwatch.errors import JournalFault, PauseService
from stemwatch.job import Job, JobState
from stemwatch.journal import schema
from stemwatch.journal.journal import AlreadyPaid, Journal, StaleJob
from stemwatch.journal.reader import Reader
from stemwatch.journal.transactions import ForbiddenTransition
from stemwatch.journal.writer import Writer
from tests.faults.disks import Tmpfs, why_no_mounts
from tests.support.journal import new_job


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Journal]:
    journal = Journal(str(path))
    try:
        yield journal
    finally:
        journal.close()


def _insert(number: int) -> str:
    return f"INSERT INTO meta VALUES ('{number}', '')"


def test_one_failing_piece_of_work_undoes_only_itself(tmp_path: Path) -> None:
    """Its neighbours in the same commit, before and after it, are kept; its own part is not."""
    path = str(tmp_path / "journal")
    schema.prepare(path)
    writer = Writer(schema.connect(path))

    def fails(db: sqlite3.Connection) -> None:
        db.execute(_insert(100))
        raise StaleJob("it moved on.")

    async def all_at_once() -> None:
        gathered = threading.Event()
        gate = writer.submit(lambda _db: gathered.wait(60))  # the next ones gather behind it
        before = [writer.submit(lambda db, n=n: db.execute(_insert(n)).rowcount) for n in range(5)]
        failing = writer.submit(fails)
        after = [
            writer.submit(lambda db, n=n: db.execute(_insert(n)).rowcount) for n in range(5, 9)
        ]
        gathered.set()
        await gate
        with pytest.raises(StaleJob):
            await failing
        assert await asyncio.gather(*before, *after) == [1] * 9

    asyncio.run(all_at_once())
    writer.close()
    with sqlite3.connect(path) as db:
        assert sorted(int(row[0]) for row in db.execute("SELECT name FROM meta")) == list(range(9))


def test_a_write_after_the_end_fails_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    """A task that outlived the service would otherwise keep its loop from closing."""

    async def main() -> None:
        async with opened(tmp_path / "journal") as journal:
            pass
        with pytest.raises(JournalFault):
            await asyncio.wait_for(journal.add(new_job()), 5)

    asyncio.run(main())


def test_what_was_asked_for_before_the_end_is_still_written(tmp_path: Path) -> None:
    """Closing finishes what is queued, also where the task that asked was cancelled meanwhile."""

    async def main() -> int:
        async with opened(tmp_path / "journal") as journal:
            adding = [asyncio.create_task(journal.add(new_job(n))) for n in range(100)]
            await asyncio.sleep(0)
        done = await asyncio.gather(*adding)
        async with opened(tmp_path / "journal") as journal:
            assert len(done) == 100
            return (await journal.counts())["queued"]

    assert asyncio.run(main()) == 100


async def _whole_life(journal: Journal, number: int) -> None:
    """A job's way through the journal, as the service takes it."""
    taken_in = await journal.add_new(new_job(number), "")
    assert taken_in is not None
    key = f"intent-{number}"
    job = await journal.intend(taken_in, idempotency_key=key, minutes=1.0, price=0.1, limits=[])
    job = await journal.advance(job, JobState.SEPARATING, remote_id=f"job_{number}")
    job = await journal.advance(job, JobState.SEPARATED, completed_at=1.0)
    job = await journal.advance(job, JobState.DELIVERED, delivered_to="/outbox/song")
    await journal.advance(job, JobState.DONE, filed_to="/archive/song.wav")


def test_a_job_costs_six_commits_at_most_and_sixteen_share_them(tmp_path: Path) -> None:
    """Each commit is an fsync: what tasks ask for at once goes to the disk at once."""

    async def commits(lives: int) -> int:
        async with opened(tmp_path / f"journal-{lives}") as journal:
            seen: list[str] = []
            journal._writer.connection.set_trace_callback(seen.append)
            await asyncio.gather(*(_whole_life(journal, number) for number in range(lives)))
            journal._writer.connection.set_trace_callback(None)
            return seen.count("COMMIT")

    assert asyncio.run(commits(1)) == 6
    assert asyncio.run(commits(16)) <= 6 * 16 / 4


_ONE_LIFE = """
import asyncio, sys
from pathlib import Path
from stemwatch.journal.journal import Journal
from tests.integration.test_journal_writer import _whole_life

async def main():
    journal = Journal(sys.argv[1])
    for number in range(10):
        await _whole_life(journal, number)
    journal.close()

asyncio.run(main())
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="counts fsyncs by strace")
def test_a_job_costs_at_most_six_flushes(tmp_path: Path) -> None:
    """Counted at the kernel, over ten jobs one after another; opening and closing cost a few."""
    path = tmp_path / "journal"
    schema.prepare(str(path))
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", str(trace)]
    ran = subprocess.run(
        [*command, sys.executable, "-c", _ONE_LIFE, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in ran.stderr.lower():
        pytest.skip(f"strace can't trace here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    flushes = re.findall(r"f(?:data)?sync\(\d+<[^>]*journal-wal>", trace.read_text())
    assert 4 <= len(flushes) // 10 <= 6


def test_only_what_the_inbox_still_holds_is_not_waited_for(tmp_path: Path) -> None:
    """Taking a song in may be undone by a power cut; nothing that shares a commit may be."""

    async def main() -> list[str]:
        async with opened(tmp_path / "journal") as journal:
            seen: list[str] = []
            journal._writer.connection.set_trace_callback(seen.append)
            first = await journal.add_new(new_job(1), "")
            assert first is not None
            await journal.add_new(new_job(2), "")
            _, moved = await asyncio.gather(
                journal.add_new(new_job(3), ""), journal.advance(first, JobState.QUARANTINED)
            )
            await journal.amend(moved, filed_to="/quarantine/song.wav")
            await journal.add_new(new_job(4), "")
            journal._writer.connection.set_trace_callback(None)
            return [text for text in seen if text == "COMMIT" or text.startswith("PRAGMA")]

    waits_not, waits = "PRAGMA synchronous = NORMAL", "PRAGMA synchronous = FULL"
    commit = "COMMIT"
    expected = [waits_not, commit, commit, waits, commit, commit, waits_not, commit]
    assert asyncio.run(main()) == expected


def test_sixteen_tasks_share_their_commits(tmp_path: Path) -> None:
    """A hundred and sixty whole lives at once need far fewer commits than transactions."""
    commits = 0

    async def main() -> None:
        nonlocal commits
        async with opened(tmp_path / "journal") as journal:

            def count(statement: str) -> None:
                nonlocal commits
                commits += statement == "COMMIT"

            await journal._write(lambda db: db.set_trace_callback(count))

            async def several(task: int) -> None:
                for number in range(10):
                    await _whole_life(journal, task * 100 + number)

            await asyncio.gather(*(several(task) for task in range(16)))
            assert (await journal.counts())["done"] == 160

    asyncio.run(main())
    assert commits < 160 * 6 / 4


def test_the_loop_never_waits_for_the_disk(tmp_path: Path) -> None:
    """While a commit is held up by another process, the loop goes on ticking: fifty times."""
    path = tmp_path / "journal"

    async def main() -> None:
        async with opened(path) as journal:
            other = schema.connect(str(path))
            other.execute("BEGIN IMMEDIATE")
            adding = asyncio.create_task(journal.add(new_job()))
            for _ in range(50):
                assert await journal.counts() is not None  # reading goes on too
                await asyncio.sleep(0.002)
                assert not adding.done()
            other.execute("COMMIT")
            await adding
            other.close()

    asyncio.run(main())


_RACE = """
import asyncio, sys
from stemwatch.job import JobState
from stemwatch.journal.journal import AlreadyPaid, Journal, StaleJob

async def main():
    journal = Journal(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    won = 0
    while True:
        jobs = await journal.claim((JobState.QUEUED,), now=1e18, owner=None, limit=5)
        if not jobs:
            break
        for job in jobs:
            try:
                job = await journal.intend(
                    job, idempotency_key=f"{sys.argv[2]}-{job.id}", minutes=1, price=1, limits=[]
                )
            except (StaleJob, AlreadyPaid):
                continue
            won += 1
            await journal.advance(job, JobState.SEPARATING, remote_id="r")
    journal.close()
    print(won, flush=True)

asyncio.run(main())
"""


def test_two_processes_never_submit_the_same_job_or_content(tmp_path: Path) -> None:
    """The service and a `split` race for 40 jobs of 20 contents: each content is paid for once."""
    path = tmp_path / "journal"

    async def prepare() -> None:
        async with opened(path) as journal:
            for number in range(40):
                await journal.add(new_job(number, content_key=f"content-{number % 20}"))

    asyncio.run(prepare())
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACE, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("service", "split")
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [int(racer.communicate(timeout=60)[0]) for racer in racers]

    async def result() -> tuple[int, float]:
        async with opened(path) as journal:
            separating = await journal.in_states((JobState.SEPARATING,))
            assert len({job.content_key for job in separating}) == len(separating)
            return len(separating), (await journal.spent(0))[0]

    assert asyncio.run(result()) == (20, 20.0)
    assert sum(answers) == 20


def test_a_content_under_way_is_refused_to_every_other_connection(tmp_path: Path) -> None:
    """The same content submitted through another connection is refused as under way."""

    async def main() -> None:
        async with opened(tmp_path / "journal") as one, opened(tmp_path / "journal") as other:
            first = await one.add(new_job(1, content_key="same"))
            second = await other.add(new_job(2, content_key="same"))
            await one.intend(first, idempotency_key="a", minutes=1, price=1, limits=[])
            with pytest.raises(AlreadyPaid):
                await other.intend(second, idempotency_key="b", minutes=1, price=1, limits=[])
            assert await other.spent(0) == (1.0, 1.0)

    asyncio.run(main())


def test_a_possible_charge_stays_booked_whatever_its_retries_end_as(tmp_path: Path) -> None:
    """Each try is a booking of its own: a refused one takes back only its own."""

    async def main() -> list[float]:
        booked = []
        async with opened(tmp_path / "journal") as journal:
            job = await journal.add(new_job())
            for _ in range(3):  # each may have been charged, and a person has it tried again
                job = await journal.intend(job, idempotency_key="a", minutes=1, price=1, limits=[])
                job = await journal.advance(job, JobState.QUARANTINED, code="unconfirmed")
                job = await journal.advance(job, JobState.QUEUED)
                booked.append((await journal.spent(0))[0])
            for _ in range(2):
                job = await journal.intend(job, idempotency_key="a", minutes=1, price=1, limits=[])
                booked.append((await journal.spent(0))[0])
                job = await journal.take_back(job, "busy")
                booked.append((await journal.spent(0))[0])
        return booked

    assert asyncio.run(main()) == [1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 3.0]


def test_only_a_submission_can_be_taken_back(tmp_path: Path) -> None:
    """What is in quarantine as unconfirmed stays booked: it may have been charged."""

    async def main() -> None:
        async with opened(tmp_path / "journal") as journal:
            job = await journal.add(new_job())
            job = await journal.intend(job, idempotency_key="a", minutes=1, price=1, limits=[])
            job = await journal.advance(job, JobState.QUARANTINED, code="submission_unconfirmed")
            with pytest.raises(ForbiddenTransition):
                await journal.take_back(job, "busy")
            assert await journal.spent(0) == (1.0, 1.0)
            assert (await journal.counts())["quarantined"] == 1

    asyncio.run(main())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Tmpfs]:
    if (why := why_no_mounts()) is not None:
        pytest.skip(why)
    with Tmpfs(tmp_path / "small", 1) as disk:
        yield disk


def test_a_full_disk_pauses_and_writing_goes_on_when_there_is_room(small_disk: Tmpfs) -> None:
    """Nothing is half-written, nothing confirmed is lost, and no restart is needed."""

    async def main() -> None:
        async with opened(small_disk.path / "journal") as journal:
            added: list[Job] = [await journal.add(new_job(0))]
            small_disk.fill()
            with pytest.raises(PauseService) as fault:
                for number in range(1, 100):
                    job = await journal.add(new_job(number, message="x" * 3000))
                    added.append(job)
            assert fault.value.code == "journal"
            assert "Make room" in fault.value.hint
            assert (await journal.counts())["queued"] == len(added)
            small_disk.free()
            added.append(await journal.add(new_job(999)))
            stored = await journal.in_states((JobState.QUEUED,))
            assert [job.id for job in stored] == [job.id for job in added]

    asyncio.run(main())


_FAIL_FLUSHES = """
import asyncio, sys
from stemwatch.errors import JournalFault
from stemwatch.journal.journal import Journal
from tests.support.journal import new_job

async def main():
    journal = Journal(sys.argv[1])
    for number in range(30):
        try:
            await journal.add(new_job(number))
            print("kept", flush=True)
        except JournalFault:
            print("fault", flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="fails fsyncs by strace")
def test_after_a_failed_flush_nothing_is_written_any_more(tmp_path: Path) -> None:
    """The kernel forgets what it could not flush: a second try would lie. What was kept stays."""
    path = tmp_path / "journal"
    schema.prepare(str(path))
    inject = "inject=fsync,fdatasync:error=EIO:when=9"  # one failure; later ones would succeed
    trace = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=fsync,fdatasync"]
    ran = subprocess.run(
        [*trace, "-e", inject, sys.executable, "-c", _FAIL_FLUSHES, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "ptrace" in ran.stderr.lower():
        pytest.skip(f"strace can't trace here: {ran.stderr.strip()}")
    words = ran.stdout.split()
    kept = words.index("fault")
    assert words == ["kept"] * kept + ["fault"] * (30 - kept)

    async def count() -> int:
        async with opened(path) as journal:
            return (await journal.counts())["queued"]

    assert asyncio.run(count()) >= kept > 0


@pytest.mark.parametrize("kind", [Writer, Reader])
def test_a_fault_of_the_thread_s_own_is_everybody_s_answer(
    tmp_path: Path, kind: type[Writer | Reader]
) -> None:
    """A thread that died would leave them waiting for good; and the service ends by this fault."""
    path = str(tmp_path / "journal")
    schema.prepare(path)
    thread = kind(schema.connect(path))

    def fails(_group: object) -> Any:
        raise ZeroDivisionError

    async def asked() -> None:
        well, thread._do = thread._do, fails  # type: ignore[method-assign]
        for future in [thread.submit(lambda _db: 1) for _ in range(3)]:
            with pytest.raises(JournalFault, match="ZeroDivisionError"):
                await asyncio.wait_for(future, 30)
        thread._do = well  # type: ignore[method-assign]
        if kind is Reader:
            assert await thread.submit(lambda _db: 1) == 1
        else:  # nobody knows what its transaction holds
            with pytest.raises(JournalFault, match="ZeroDivisionError"):
                await thread.submit(lambda _db: 1)

    asyncio.run(asked())
    thread.close()
