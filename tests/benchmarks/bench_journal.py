"""What group commit buys: `python -m tests.benchmarks.bench_journal [TRANSITIONS]`.

16 tasks move jobs at once, through the journal's writer and, in the same run and interleaved with
it, by one commit each on the loop. Every commit is flushed (WAL, synchronous FULL) on both sides.
Prints transitions a second of both, their ratio (goal: 4), and how long the loop stood still.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from stemwatch.job import Job, JobState
from stemwatch.journal import schema, transactions
from stemwatch.journal.journal import Journal
from tests.unit.journal_support import new_job

TASKS = 16
ROUNDS = 5
Add = Callable[[Job], Awaitable[Job]]
Advance = Callable[[Job, JobState], Awaitable[Job]]
LIFE = (JobState.DELIVERED, JobState.DONE)


async def lives(add: Add, advance: Advance, transitions: int) -> float:
    """Transitions a second, of TASKS tasks that each take jobs through their states."""
    each = transitions // TASKS // (1 + len(LIFE))

    async def task(first: int) -> None:
        for number in range(first, first + each):
            job = await add(new_job(number))
            for state in LIFE:
                job = await advance(job, state)

    started = time.perf_counter()
    await asyncio.gather(*(task(n * 1_000_000) for n in range(TASKS)))
    return TASKS * each * (1 + len(LIFE)) / (time.perf_counter() - started)


async def grouped(path: str, transitions: int) -> tuple[float, float]:
    """(transitions a second, longest standstill of the loop in ms) through the journal."""
    journal = Journal(path)
    lag = 0.0

    async def watch() -> None:
        nonlocal lag
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            lag = max(lag, time.perf_counter() - before - 0.001)

    watching = asyncio.create_task(watch())
    try:
        return await lives(journal.add, journal.advance, transitions), lag * 1000
    finally:
        watching.cancel()
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
        return await lives(add, advance, transitions)
    finally:
        db.close()


def main() -> None:
    transitions = int(sys.argv[1]) if len(sys.argv) > 1 else 4800
    group, single, lags = [], [], []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            rate, lag = asyncio.run(grouped(str(Path(folder) / f"a{number}"), transitions))
            group.append(rate)
            lags.append(lag)
            single.append(asyncio.run(inline(str(Path(folder) / f"b{number}"), transitions)))
    ratio = statistics.median(a / b for a, b in zip(group, single, strict=True))
    print(f"group commit, {TASKS} tasks: {statistics.median(group):8.0f} transitions/s")
    print(f"inline FULL commits:    {statistics.median(single):8.0f} transitions/s")
    print(f"ratio: {ratio:.1f} (goal 4); longest standstill {statistics.median(lags):.1f} ms")


if __name__ == "__main__":
    main()
