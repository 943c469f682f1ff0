"""`python -m tests.benchmarks.bench_cluster`: a cluster's ratios, on a PostgreSQL of its own.

- how much more N workers do than one, on songs of a fixed length, with 100,000 more in the queue
- seconds from a song's submission to its start, where a seat is free
- a fetch with 100,000 queued against one with 1,000
- the memory of a worker beside its engine, and of a front end with 200 uploads of 10 MB at once

The wall under kills is `python -m tests.faults.cluster_chaos`. Don't measure on a busy machine.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles

import psutil
import psycopg

from stemwatch.server.cluster.database import Database
from stemwatch.server.cluster.tickets_of_jobs import Tickets
from tests.support.cluster import SONG, Cluster, FrontEnd, kill
from tests.support.postgres import Postgres
from tests.support.waiting import wait_for

SEATS, SECONDS = 4, 2.0
FILL = """
insert into procrastinate_jobs (queue_name, task_name, priority, args)
select 'songs-2', 'separate', -1000000 - n, jsonb_build_object('song', 'job_none_' || n)
  from generate_series(1, %s) n
"""


def fill(cluster: Cluster, count: int) -> None:
    """Let so many jobs wait behind all others."""
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute(FILL, (count,))
        connection.execute("vacuum analyze procrastinate_jobs")


def throughput(cluster: Cluster, front: FrontEnd, workers: int, each: int) -> float:
    """Efficiency: the ideal time of `each` songs a seat against the real one."""
    made = [front.submit().json()["job_id"] for _ in range(workers * SEATS * each)]
    crew = [
        cluster.worker("--jobs", str(SEATS), engine="timed", beat=10, stall=60)
        for _ in range(workers)
    ]
    for job in made:
        front.ended(job, timeout=600)
    for one in crew:
        kill(one, 15)
    records = [cluster.record(job) for job in made]
    # A worker's first songs wait for its engines to start; the rest tell how it goes on.
    starts = sorted(one["started_at"] for one in records)[workers * SEATS :]
    wall = max(one["finished_at"] for one in records) - starts[0]
    return (each - 1) * SECONDS / wall


def starts(cluster: Cluster, front: FrontEnd, count: int) -> list[float]:
    """Milliseconds from each submission to its start, one song after another."""
    found = []
    for _ in range(count):
        job = front.submit().json()["job_id"]
        front.ended(job)
        record = cluster.record(job)
        found.append(1000 * (record["started_at"] - record["created_at"]))
    return found


def fetches(cluster: Cluster, count: int) -> float:
    """Milliseconds of a fetch, the median."""

    async def main() -> float:
        database = Database(cluster.url, "here")
        await database.open()
        tickets = Tickets(database)
        await tickets.open()
        async with database.transaction() as connection:
            cursor = await connection.execute(
                "select worker_id from procrastinate_register_worker_v1()"
            )
            row = await cursor.fetchone()
        assert row is not None
        took = []
        for _ in range(count):
            began = time.perf_counter()
            await tickets.take([2, 4, 6], row[0])
            took.append(1000 * (time.perf_counter() - began))
        await database.close()
        return median(took)

    return asyncio.run(main())


def uploads(front: FrontEnd, count: int) -> tuple[float, float]:
    """A front end's memory before and at the most, in MB, with so many uploads at once."""
    process = psutil.Process(front.process.pid)
    front.submit()
    before = process.memory_info().rss / 1e6
    # Long enough to be large, and quick to refuse: what counts is the receiving.
    body = SONG + bytes(10_000_000 - len(SONG))
    most = [before]
    with ThreadPoolExecutor(count) as pool:
        sent = [pool.submit(front.submit, body) for _ in range(count)]
        while not all(one.done() for one in sent):
            most.append(process.memory_info().rss / 1e6)
            time.sleep(0.05)
    answers = {one.result().status_code for one in sent}
    assert answers == {202}, answers
    return before, max(most)


def in_a_cluster(do: Callable[[Cluster, FrontEnd], None]) -> None:
    room = Path(tempfile.mkdtemp(prefix="stemwatch-bench-"))
    try:
        with Postgres() as postgres, Cluster(room, postgres) as cluster:
            (cluster.steering / "seconds").write_text(str(SECONDS))
            do(cluster, cluster.front())
    finally:
        shutil.rmtree(room, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--each", type=int, default=8, help="songs for each seat")
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--uploads", type=int, default=200)
    given = parser.parse_args()

    def work(cluster: Cluster, front: FrontEnd) -> None:
        fill(cluster, given.queued)
        one = throughput(cluster, front, 1, given.each)
        many = throughput(cluster, front, given.workers, given.each)
        print(f"efficiency of 1 worker {one:.3f}, of {given.workers} {many:.3f}: "
              f"{given.workers} workers do {given.workers * many / one:.2f} x one's")  # fmt: skip

    def overhead(cluster: Cluster, front: FrontEnd) -> None:
        worker = cluster.worker()
        wait_for(lambda: front.http.get("/health").json()["seats"] == 1, what="the worker")
        starts(cluster, front, 3)
        took = starts(cluster, front, 100)
        print(f"submission to start: p50 {median(took):.1f} ms, p99 "
              f"{quantiles(took, n=100)[98]:.1f} ms")  # fmt: skip
        memory = psutil.Process(worker.pid).memory_full_info()
        print(f"a worker beside its engine: {memory.rss / 1e6:.1f} MB resident, "
              f"{memory.pss / 1e6:.1f} proportional, {memory.uss / 1e6:.1f} its own")  # fmt: skip
        kill(worker, 15)
        before, most = uploads(front, given.uploads)
        print(f"a front end: {before:.1f} MB; {most:.1f} with {given.uploads} uploads at once")

    def fetch(cluster: Cluster, _: FrontEnd) -> None:
        fill(cluster, 1000)
        few = fetches(cluster, 200)
        fill(cluster, given.queued)
        many = fetches(cluster, 200)
        print(f"fetch: {few:.1f} ms with 1,000 queued, {many:.1f} with {given.queued:,}: "
              f"{many / few:.2f} x")  # fmt: skip

    for one in (work, overhead, fetch):
        in_a_cluster(one)


if __name__ == "__main__":
    main()
