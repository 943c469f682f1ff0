"""The real local separation server as a subprocess, for tests."""

from __future__ import annotations

import io
import json
import math
import os
import re
import struct
import subprocess
import sys
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.waiting import NO_TLS, wait_for

ROOT = Path(__file__).parents[2]
READY = re.compile(r"stemwatch serve: (http://(\S+):(\d+)/v1) engine ")


def tone(seconds: float = 0.5, hz: float = 440.0) -> bytes:
    """A mono WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        count = int(seconds * 22050)
        values = (int(9000 * math.sin(2 * math.pi * hz * i / 22050)) for i in range(count))
        file.writeframes(struct.pack(f"<{count}h", *values))
    return out.getvalue()


def environment(room: Path | None = None) -> dict[str, str]:
    extra = {} if room is None else {"LOCAL_ENGINE_ROOM": str(room)}
    return {**os.environ, "PYTHONPATH": str(ROOT), **extra}


def fetched(url: str | httpx.URL, **headers: str) -> httpx.Response:
    """As anybody gets it, without the key. httpx's own five seconds are few for a busy machine."""
    return httpx.get(url, headers=headers, timeout=30, verify=NO_TLS)


def set_back(data_dir: Path, job_id: str, hours: float) -> None:
    """As if the job had ended so long ago; its server must not run meanwhile."""
    path = data_dir / "jobs" / job_id / "job.json"
    record = json.loads(path.read_text())
    record["finished_at"] -= hours * 3600
    path.write_text(json.dumps(record))


class Server:
    """`python -m stemwatch.server` with an engine of the tests' (None: the built-in one).

    A context manager.
    """

    patience = 60.0  # seconds for the end of a job

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        engine: str | None = "copy",
        key: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.room = data_dir.parent / f"{data_dir.name}-room"
        self.room.mkdir(exist_ok=True)
        self.data_dir = data_dir
        command = [sys.executable, "-P", "-m", "stemwatch.server", "--data-dir", str(data_dir)]
        command += (
            options
            if engine is None
            else ["--engine", f"tests.support.server_engines:{engine}", *options]
        )
        self.env = environment(self.room) | dict(env or {})
        if key is not None:
            self.env["STEMWATCH_SERVE_KEY"] = key
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
        )
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline()
        found = READY.match(self.ready)
        if found is None:
            assert self.process.stderr is not None
            raise AssertionError(f"not ready: {self.ready!r} {self.process.stderr.read()}")
        self.base_url, self.port = found[1], int(found[3])
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=self.base_url, headers=headers, timeout=30, verify=NO_TLS)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def submit(
        self,
        audio: bytes | None = None,
        *,
        name: str = "song.wav",
        key: str | None = None,
        **form: str,
    ) -> httpx.Response:
        fields = {"stems": "2", "format": "wav", **form}
        headers = {} if key is None else {"Idempotency-Key": key}
        file = (name, tone() if audio is None else audio)
        return self.http.post("/separate", files={"audio": file}, data=fields, headers=headers)

    def job(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/jobs/{job_id}").json()
        return answer

    def ended(self, job_id: str) -> dict[str, Any]:
        """The job, once it has ended."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] != "processing" else None

        job = wait_for(look, timeout=self.patience, what="the job's end")
        assert job is not None
        return job

    def receiving(self) -> list[Path]:
        """Folders of uploads that no job was made of (yet)."""
        return list((self.data_dir / "incoming").iterdir())

    def kept(self, job_id: str) -> set[str]:
        """The names of what is left of a job on the disk, and of its stems."""
        folder = self.data_dir / "jobs" / job_id
        found = [*folder.iterdir(), *(folder / "stems").iterdir()]
        return {one.name for one in found} - {"job.json", "stems"}

    def started(self, count: int = 1) -> list[psutil.Process]:
        """Wait until the gated engine began so many times; the processes it computes in."""
        wait_for(lambda: len(list(self.room.glob("started-*"))) >= count, what="a separation")
        pids = [int(path.name.rpartition("-")[2]) for path in self.room.glob("started-*")]
        return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]

    def open_gate(self) -> None:
        (self.room / "open").touch()

    def workers(self) -> list[psutil.Process]:
        """Its child processes."""
        return psutil.Process(self.process.pid).children(recursive=True)
