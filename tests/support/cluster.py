"""A whole cluster on this machine: a database, front ends and workers, each a process."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil
import psycopg

from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.server import environment, tone
from tests.support.waiting import NO_TLS, wait_for

COMMAND = [sys.executable, "-P", "-m", "stemwatch.cli"]
BEAT, STALL = 0.5, 2.0  # seconds
SHORT = {"beat": 0.3, "stall": 1.5}  # for tests that wait until it is over
_NUMBERS = itertools.count()


class Cluster:
    """`room` holds the data directory, the URL's file, and where the tests' engines are steered.

    A context manager: what was started in it ends with it.
    """

    def __init__(self, room: Path, postgres: Postgres, *, tables: bool = True) -> None:
        self.room, self.postgres = room, postgres
        self.data = room / "data"
        self.steering = room / "steering"
        self.steering.mkdir()
        self.url = postgres.create(f"cluster{next(_NUMBERS)}", tables=tables)
        self.url_file = room / "queue-url"
        self.url_file.touch(0o600)
        self.url_file.write_text(f"{self.url}\n")
        self.fronts: list[FrontEnd] = []
        self.workers: list[subprocess.Popen[str]] = []

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command with the URL's file."""
        command = [*COMMAND, *words, "--queue-url-file", str(self.url_file)]
        return subprocess.run(
            command, capture_output=True, text=True, check=check, timeout=60, env=self.env
        )

    @property
    def env(self) -> dict[str, str]:
        return environment(self.steering)

    def front(self, *options: str, key: str | None = None) -> FrontEnd:
        made = FrontEnd(self, options, key)
        self.fronts.append(made)
        return made

    def worker(
        self,
        *options: str,
        engine: str = "copy",
        beat: float = BEAT,
        stall: float = STALL,
        program: Sequence[str] = COMMAND,
    ) -> subprocess.Popen[str]:
        """A worker that takes jobs already."""
        command = [*program, "worker", "--queue-url-file", str(self.url_file)]
        command += ["--data-dir", str(self.data), "--heartbeat", str(beat), "--stall", str(stall)]
        command += ["--engine", f"tests.support.server_engines:{engine}", *options]
        if "--jobs" not in options:
            command += ["--jobs", "1"]
        log = open(self.room / "workers.log", "a", encoding="utf-8")  # noqa: SIM115
        with log:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=self.env
            )
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("stemwatch worker: "), (self.room / "workers.log").read_text()
        self.workers.append(process)
        return process

    def ask(self, query: str, *values: object) -> Any:
        """The first value that the database answers."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(query, values).fetchone()  # type: ignore[call-overload]
        return None if row is None else row[0]

    def record(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.ask("select record from stemwatch_song where id = %s", job_id)
        )
        return found

    def started(self, count: int = 1) -> list[int]:
        """Wait until gated engines began so many times; the pids."""
        wait_for(lambda: len(self._started()) >= count, what="a separation")
        return self._started()

    def open_gate(self) -> None:
        (self.steering / "open").touch()

    def _started(self) -> list[int]:
        return [int(one.name.rpartition("-")[2]) for one in self.steering.glob("started-*")]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for front in self.fronts:
            front.kill()
        for worker in self.workers:
            kill(worker)


class FrontEnd:
    """One `stemwatch serve --queue-url-file`."""

    def __init__(self, cluster: Cluster, options: tuple[str, ...], key: str | None) -> None:
        self._cluster = cluster
        self._options = options
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.port = free_port()  # no connection takes it between two starts
        self.start()

    def start(self) -> None:
        """At the same port where it was started before."""
        cluster = self._cluster
        command = [*COMMAND, "serve", "--queue-url-file", str(cluster.url_file)]
        command += ["--data-dir", str(cluster.data), "--port", str(self.port), *self._options]
        with open(cluster.room / "fronts.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=cluster.env
            )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        found = re.match(r"stemwatch serve: (http://\S+:(\d+)/v1) front end", ready)
        assert found, (ready, (cluster.room / "fronts.log").read_text())
        self.url, self.port = found[1], int(found[2])
        self.http = httpx.Client(base_url=self.url, headers=self.headers, timeout=30, verify=NO_TLS)

    def submit(
        self, audio: bytes | None = None, *, key: str | None = None, **form: str
    ) -> httpx.Response:
        fields = {"stems": "2", "format": "wav", **form}
        headers = {} if key is None else {"Idempotency-Key": key}
        file = ("song.wav", SONG if audio is None else audio)
        return self.http.post("/separate", files={"audio": file}, data=fields, headers=headers)

    def job(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/jobs/{job_id}").json()
        return answer

    def ended(self, job_id: str, timeout: float = 30.0) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] != "processing" else None

        job = wait_for(look, timeout=timeout, what="the job's end")
        assert job is not None
        return job

    def kill(self) -> None:
        self.http.close()
        kill(self.process)


SONG = tone(0.2)


def at_once(*makes: Callable[[], Any]) -> list[Any]:
    """What they return, in order: processes take half as long to start beside each other."""
    with ThreadPoolExecutor(len(makes)) as pool:
        return [one.result() for one in [pool.submit(make) for make in makes]]


def kill(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    """End a process at once; its children see the end of their standard input."""
    if process.poll() is None:
        process.send_signal(number)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)
