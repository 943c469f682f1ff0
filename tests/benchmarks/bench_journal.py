"""What group commit buys: `python -m tests.benchmarks.bench_journal [TRANSITIONS]`.

16 tasks take songs from `queued` to `done` at once, through the journal's writer and, in the same
run and interleaved with it, by one commit each on the loop. A transition is an UPDATE and a history
row; the songs are in the journal before time is taken. Every commit is flushed (WAL, synchronous
FULL) on both sides. Prints transitions a second of both, their ratio (goal: 4), and how long the
loop stood still. The dearer an fsync, the higher the ratio: run it on the disk that counts
(TMPDIR), not on a tmpfs.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from stemwatch.job import Job, JobState
from stemwatch.journal import schema, transactions
from stemwatch.journal.journal import Journal
from tests.benchmarks.looking import Stalls, load
from tests.support.journal import new_job

TASKS = 16
ROUNDS = 5
Add = Callable[[Job], Awaitable[Job]]
Advance = Callable[[Job, JobState], Awaitable[Job]]
LIFE = (
    JobState.SUBMITTING,
    JobState.SEPARATING,
    JobState.SEPARATED,
    JobState.DELIVERED,
    JobState.DONE,
)


async def added(add: Add, transitions: int) -> list[Job]:
    """As many songs as have so many transitions before them."""
    songs = transitions // len(LIFE) // TASKS * TASKS
    return await asyncio.gather(*(add(new_job(number)) for number in range(songs)))


async def lives(songs: Sequence[Job], advance: Advance) -> float:
    """Transitions a second, of TASKS tasks that each take songs through their states."""
    waiting = iter(songs)

    async def task() -> None:
        for job in waiting:
            for state in LIFE:
                job = await advance(job, state)

    started = time.perf_counter()
    await asyncio.gather(*(task() for _ in range(TASKS)))
    return len(songs) * len(LIFE) / (time.perf_counter() - started)


async def grouped(path: str, transitions: int) -> tuple[float, float, Stalls]:
    """(transitions a second, transitions a commit, the loop's stalls) through the journal."""
    journal = Journal(path)
    commits = 0

    def seen(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    try:
        rate = await lives(await added(journal.add, transitions), journal.advance)
        songs = await added(journal.add, transitions)
        journal._writer.connection.set_trace_callback(seen)
        with Stalls() as stalls:  # looking costs time, so not in `rate`
            await stalls.watch()
            await lives(songs, journal.advance)
        return rate, len(songs) * len(LIFE) / commits, stalls
    finally:
        journal.close()


async def inline(path: str, transitions: int) -> float:
    """The same transactions on the loop's own thread, a commit each."""
    schema.prepare(path)
    db = schema.connect(path)

    def commit(work: Callable[[sqlite3.Connection], Job]) -> Job:
        db.execute("BEGIN IMMEDIATE")
        result = work(db)
        db.execute("COMMIT")
        return result

    async def add(job: Job) -> Job:
        return commit(lambda at: transactions.add(at, job, time.time()))

    async def advance(job: Job, to: JobState) -> Job:
        return commit(lambda at: transactions.advance(at, job, to, "", {}, time.time()))

    try:
        return await lives(await added(add, transitions), advance)
    finally:
        db.close()


def fsync_cost(folder: str) -> float:
    """ms of an fdatasync after a write of 4 KiB, on the disk that is measured."""
    with (Path(folder) / "probe").open("wb", buffering=0) as probe:
        costs = []
        for _ in range(50):
            probe.write(b"x" * 4096)
            started = time.perf_counter()
            os.fdatasync(probe.fileno())
            costs.append(time.perf_counter() - started)
    return statistics.median(costs) * 1000


def main() -> None:
    transitions = int(sys.argv[1]) if len(sys.argv) > 1 else 4800
    group, single, all_stalls = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        fsync = fsync_cost(folder)
        for number in range(ROUNDS):
            rate, each, stalls = asyncio.run(grouped(f"{folder}/a{number}", transitions))
            group.append(rate)
            all_stalls.append(stalls)
            single.append(asyncio.run(inline(f"{folder}/b{number}", transitions)))
    ratio = statistics.median(a / b for a, b in zip(group, single, strict=True))
    print(f"group commit, {TASKS} tasks: {statistics.median(group):6.0f} transitions/s")
    print(f"inline FULL commits:    {statistics.median(single):6.0f} transitions/s")
    print(f"ratio: {ratio:.1f} (goal 4); {each:.1f} transitions a commit; an fsync {fsync:.2f} ms")
    wall = statistics.median(s.longest for s in all_stalls)
    own = statistics.median(s.busiest for s in all_stalls)
    print(f"longest stall of the loop: {wall:.1f} ms, {own:.1f} ms of them its own CPU (goal 2)")
    print(load())


if __name__ == "__main__":
    main()
