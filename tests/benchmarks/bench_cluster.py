"""`python -m tests.benchmarks.bench_cluster`: a cluster's goals, on a PostgreSQL of its own.

- N workers do 0.95 N x what one does, on songs of a fixed length, with 100,000 more in the queue
- from a song's submission to its start, where a seat is free: 25 ms (p50), 100 ms (p99)
- a fetch with 100,000 queued takes 1.5 x one with 1,000
- a worker's share of the memory, beside its engine: 40 MB
- a front end that receives 200 uploads of 10 MB at once grows by 128 MB, 0.64 each

A line for each, and exit code 1 where one is missed; about five minutes. The wall under kills is
`python -m tests.faults.cluster_chaos`. Don't measure on a busy machine.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import shutil
import signal
import tempfile
import time
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import httpx
import psutil
import psycopg

from stemwatch.server.cluster.database import Database
from stemwatch.server.cluster.tickets_of_jobs import Tickets
from tests.support.cluster import Cluster, FrontEnd, at_once, kill
from tests.support.postgres import Postgres
from tests.support.waiting import NO_TLS, wait_for

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
    make = partial(cluster.worker, "--jobs", str(SEATS), engine="timed", beat=10, stall=60)
    crew = at_once(*[make] * workers)
    left = "select count(*) from stemwatch_song where state = 'processing'"
    # Seldom: on two cores, twenty polls a second would be a part of what is measured.
    wait_for(lambda: cluster.ask(left) == 0, timeout=600, every=0.5, what="the last song")
    for one in crew:
        kill(one, signal.SIGTERM)
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


def silence(size: int) -> bytes:
    """A WAV file of so many bytes, and a few more."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(bytes(size))
    return out.getvalue()


def uploads(front: FrontEnd, count: int, size: int = 10_000_000) -> tuple[float, float]:
    """A front end's memory before and at the most, in MB, with so many uploads at once."""
    process = psutil.Process(front.process.pid)
    front.submit()
    before = process.memory_info().rss / 1e6
    form = {"stems": "2", "format": "wav"}
    file = {"audio": ("song.wav", silence(size))}
    # A client of httpx has 100 connections; the others' songs would wait for them.
    every = httpx.Limits(max_connections=None)
    with (
        httpx.Client(limits=every, timeout=300, verify=NO_TLS) as client,
        ThreadPoolExecutor(count) as pool,
    ):

        def send() -> int:
            """Again where it is too busy, as the service does."""
            while True:
                answer = client.post(f"{front.url}/separate", files=file, data=form)
                if answer.status_code != 503:
                    return answer.status_code
                time.sleep(1)

        sent = [pool.submit(send) for _ in range(count)]
        most = before
        while not all(one.done() for one in sent):
            most = max(most, process.memory_info().rss / 1e6)
            time.sleep(0.02)
    assert {one.result() for one in sent} == {202}
    return before, most


def in_a_cluster(do: Callable[[Cluster, FrontEnd], None]) -> None:
    room = Path(tempfile.mkdtemp(prefix="stemwatch-bench-"))
    try:
        with Postgres(synced=True) as postgres, Cluster(room, postgres) as cluster:
            (cluster.steering / "seconds").write_text(str(SECONDS))
            do(cluster, cluster.front())
    finally:
        shutil.rmtree(room, ignore_errors=True)


class Goals:
    """Prints a line for each goal; `missed` counts those that were not reached."""

    def __init__(self) -> None:
        self.missed = 0

    def tell(self, what: str, value: float, most: float, unit: str, more: str = "") -> None:
        """`most`: what it may be at the most."""
        self._line(value <= most, f"{what}: {value:.2f} {unit} (at most {most:g}){more}")

    def reach(self, what: str, value: float, least: float, unit: str, more: str = "") -> None:
        self._line(value >= least, f"{what}: {value:.2f} {unit} (at least {least:g}){more}")

    def _line(self, held: bool, text: str) -> None:
        self.missed += not held
        print(f"{'held  ' if held else 'MISSED'} {text}", flush=True)


def work(goals: Goals, given: argparse.Namespace, cluster: Cluster, front: FrontEnd) -> None:
    fill(cluster, given.queued)
    rounds = [
        [throughput(cluster, front, count, given.each) for count in (1, given.workers)]
        for _ in range(given.rounds)
    ]
    one, many = (median(found) for found in zip(*rounds, strict=True))
    goals.reach(
        f"{given.workers} workers with {given.queued:,} queued",
        given.workers * many / one,
        0.95 * given.workers,
        "x one worker",
        f"; seats busy {one:.3f} and {many:.3f} of the time",
    )


def overhead(goals: Goals, given: argparse.Namespace, cluster: Cluster, front: FrontEnd) -> None:
    worker = cluster.worker()
    wait_for(lambda: front.http.get("/health").json()["seats"] == 1, what="the worker")
    starts(cluster, front, 5)
    took = starts(cluster, front, 200)
    goals.tell("submission to start, p50", median(took), 25, "ms")
    goals.tell("submission to start, p99", quantiles(took, n=100)[98], 100, "ms")
    memory = psutil.Process(worker.pid).memory_full_info()
    more = f"; {memory.rss / 1e6:.1f} resident, {memory.uss / 1e6:.1f} nobody else's"
    goals.tell("a worker's share of memory (PSS)", memory.pss / 1e6, 40, "MB", more)
    kill(worker, signal.SIGTERM)
    before, most = uploads(front, given.uploads)
    what = f"a front end with {given.uploads} uploads of 10 MB at once grows by"
    goals.tell(what, most - before, 128, "MB", f"; {before:.1f} before")


def fetch(goals: Goals, given: argparse.Namespace, cluster: Cluster, _: FrontEnd) -> None:
    fill(cluster, 1000)
    few = fetches(cluster, 300)
    fill(cluster, given.queued)
    many = fetches(cluster, 300)
    more = f"; {few:.2f} and {many:.2f} ms"
    goals.tell(f"a fetch with {given.queued:,} queued", many / few, 1.5, "x one with 1,000", more)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--each", type=int, default=12, help="songs for each seat")
    parser.add_argument("--rounds", type=int, default=2, help="of which the median counts")
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--uploads", type=int, default=200)
    given, goals = parser.parse_args(), Goals()
    for one in (work, overhead, fetch):
        in_a_cluster(partial(one, goals, given))
    return 1 if goals.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
