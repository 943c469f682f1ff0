"""`python -m tests.faults.cluster_chaos --jobs N`: a cluster whose parts are killed while it works.

Two front ends and three workers on a real PostgreSQL. Workers, front ends and the database are
killed again and again while songs of a fixed length go through; clients try again, as ours does.
Then each song must have ended well, published once, counted once, and told of once or, where a
front end was killed amid the call, again with the same delivery id.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.cluster import Cluster, at_once, kill
from tests.support.postgres import Postgres
from tests.support.waiting import wait_for
from tests.support.webhook_receiver import Receiver

WORKERS = 3


@dataclass
class Outcome:
    """What was seen. `wall` and `ideal` in seconds."""

    jobs: int
    kills: Counter[str]
    faults: list[str] = field(default_factory=list)
    wall: float = 0.0
    ideal: float = 0.0
    lost: int = 0
    repeated_calls: int = 0

    def line(self) -> str:
        kills = ", ".join(f"{count} x {what}" for what, count in sorted(self.kills.items()))
        ratio = self.wall / self.ideal if self.ideal else 0.0
        return (
            f"{self.jobs} jobs, killed: {kills}; faults {len(self.faults)}; {self.lost} runs "
            f"redone; {self.repeated_calls} calls repeated; {self.wall:.1f} s, "
            f"{ratio:.2f} x ideal (goal 1.4)"
        )


class Chaos:
    """One run; `seconds` that the engine takes for a song, `every` seconds between two kills.

    `stall`: seconds without a heartbeat after which a worker is taken as gone. `most` kills at the
    most, so that a short run ends soon on a busy machine, too; and at least `least`, as the last
    song waits for them.
    """

    def __init__(
        self,
        room: Path,
        jobs: int,
        *,
        seats: int,
        seconds: float,
        every: float,
        seed: int,
        stall: float = 2.0,
        most: int = 1_000_000,
        least: int = 0,
    ) -> None:
        self._jobs, self._seats, self._seconds, self._every = jobs, seats, seconds, every
        self._stall = stall
        self._random = random.Random(seed)
        self._room = room
        self._most, self._least = most, least
        self.outcome = Outcome(jobs, Counter())
        self._over = threading.Event()

    def run(self) -> Outcome:
        with (
            Postgres(synced=True) as postgres,
            Receiver() as receiver,
            Cluster(self._room, postgres) as cluster,
        ):
            (cluster.steering / "seconds").write_text(str(self._seconds))
            crew = [lambda: self._worker(cluster)] * WORKERS
            first, second, *self._crew = at_once(cluster.front, cluster.front, *crew)
            self._fronts = [first, second]
            first.http.post("/webhooks", json={"url": receiver.url})
            up = "select now() > pg_postmaster_start_time() + make_interval(secs => %s)"
            wait_for(lambda: cluster.ask(up, 2 * self._stall), what="the time that sweeps are safe")
            killer = threading.Thread(target=self._kill, args=(cluster, postgres))
            began = time.monotonic()
            killer.start()
            try:
                made = [self._submitted(f"key-{number}") for number in range(self._jobs - 1)]
                enough = lambda: self._kills() >= self._least or not killer.is_alive()  # noqa: E731
                wait_for(enough, timeout=600, what="enough kills")
                made.append(self._submitted("the last key"))
                wait_for(lambda: self._left(cluster) == 0, timeout=600, what="the last song")
            finally:
                self._over.set()
                killer.join()
            self.outcome.wall = time.monotonic() - began
            self.outcome.ideal = self._jobs * self._seconds / (WORKERS * self._seats)
            self._judge(cluster, receiver, made)
        return self.outcome

    def _worker(self, cluster: Cluster) -> subprocess.Popen[str]:
        seats = str(self._seats)
        beat = self._stall / 4
        return cluster.worker("--jobs", seats, engine="timed", beat=beat, stall=self._stall)

    def _submitted(self, key: str) -> str:
        """The job's id, asked for at any front end until one answers."""
        while True:
            front = self._random.choice(self._fronts)
            try:
                answer = front.submit(key=key)
                if answer.status_code in (200, 202):
                    return str(answer.json()["job_id"])
            except (httpx.HTTPError, RuntimeError):  # it is dead now
                pass
            time.sleep(0.05)

    def _kills(self) -> int:
        return self.outcome.kills.total()

    def _left(self, cluster: Cluster) -> int:
        query = "select count(*) from stemwatch_song where state = 'processing'"
        return _patiently(lambda: int(cluster.ask(query)))

    def _kill(self, cluster: Cluster, postgres: Postgres) -> None:
        """Of ten kills six are of workers, three of front ends, one is of the database."""
        what = ["worker"] * 4 + ["front end"] * 2
        self._random.shuffle(what)
        what = ["worker", "front end", "database", "worker", *what]  # a short run has each kind
        while self._kills() < self._most and not self._over.wait(self._every):
            victim = what[self._kills() % len(what)]
            self.outcome.kills[victim] += 1
            if victim == "worker":
                at = self._random.randrange(WORKERS)
                kill(self._crew[at])
                _patiently(lambda at=at: self._replace(cluster, at))
            elif victim == "front end":
                front = self._random.choice(self._fronts)
                front.kill()
                _patiently(front.start)
            else:
                postgres.kill()
                time.sleep(0.3)
                postgres.start()

    def _replace(self, cluster: Cluster, at: int) -> None:
        self._crew[at] = self._worker(cluster)

    def _judge(self, cluster: Cluster, receiver: Receiver, made: list[str]) -> None:
        faults = self.outcome.faults
        if len(set(made)) != self._jobs:
            faults.append(f"{len(set(made))} jobs for {self._jobs} keys")
        folders = {one.name for one in (cluster.data / "jobs").iterdir()}
        for job in made:
            record = cluster.record(job)
            self.outcome.lost += record["lost"]
            if record["state"] != "completed":
                faults.append(f"{job} is {record['state']}: {record['error']}")
            elif {p.name for p in (cluster.data / "jobs" / job / "stems").iterdir()} != {
                "job.json", "vocals.wav", "instrumental.wav"
            }:  # fmt: skip
                faults.append(f"{job} is not whole")
        credits = cluster.ask("select sum(spent) from stemwatch_owner")
        if credits != self._jobs:
            faults.append(f"{credits} credits were taken for {self._jobs} jobs")
        if cluster.ask("select count(*) from procrastinate_jobs"):
            faults.append("the queue is not empty")
        owed = "select count(*) from stemwatch_owed"
        wait_for(lambda: cluster.ask(owed) == 0, timeout=90, what="the last webhook")
        told = Counter(call.headers["webhook-id"] for call in list(receiver.calls))
        about = {json.loads(call.body)["job_id"] for call in list(receiver.calls)}
        if len(told) != self._jobs or about != set(made):
            faults.append(f"{len(told)} ends of {self._jobs} were told")
        self.outcome.repeated_calls = sum(told.values()) - len(told)
        if self.outcome.repeated_calls > self.outcome.kills["front end"] * 8:
            faults.append(f"{self.outcome.repeated_calls} calls were repeated")
        left_over = folders - set(made)  # of submissions cut off amid: nobody knows of them
        if len(left_over) > self._kills():
            faults.append(f"{len(left_over)} folders are nobody's")


def _patiently(do: Callable[[], object]) -> int:
    """Do it until the database is there again."""
    import psycopg

    for _ in range(100):
        try:
            return do() or 0  # type: ignore[return-value]
        except (psycopg.OperationalError, AssertionError):
            time.sleep(0.2)
    raise AssertionError("the database does not come back")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--seats", type=int, default=4, help="of each of three workers")
    parser.add_argument("--seconds", type=float, default=3.0, help="that a song takes")
    parser.add_argument("--every", type=float, default=6.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=1)
    given = vars(parser.parse_args())
    room = Path(tempfile.mkdtemp(prefix="stemwatch-chaos-"))
    try:
        outcome = Chaos(room, given.pop("jobs"), **given).run()
    finally:
        shutil.rmtree(room, ignore_errors=True)
    print(*outcome.faults, outcome.line(), sep="\n")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
