"""Small files that wait at the start: `python -m tests.benchmarks.bench_intake [FILES] [REVISION]`.

The whole service takes in FILES (default: 20,000) short WAVs, each of other sound, in folders of
200, with an API that can't be reached: nothing but the intake works. This checkout and the one of
REVISION (default: 0d0a599, before the intake was made faster), one after another in one run. For
both: files a second, CPU ms a file of the service and its helpers, and the most memory that the
service's own process had.

Goal: at least 1.7 x as many a second; on a machine with other work, at most 1/1.7 of the CPU.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.harness import KEY
from tests.acceptance.songs import wav_bytes
from tests.benchmarks.looking import load, peak
from tests.benchmarks.serving import ROOT

FILES, BEFORE = 20_000, "0d0a599"
A_FOLDER = 200
GOAL = 1.7
_RUN = "from stemwatch.cli import main; main()"


class Cost(NamedTuple):
    a_second: float
    cpu_ms: float  # a file
    memory: float  # MB


def songs(inbox: Path, files: int) -> None:
    """so many songs of a second."""
    for number in range(files):
        folder = inbox / f"{number // A_FOLDER:04}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"song {number}.wav").write_bytes(wav_bytes(number, seconds=1.0, rate=8000))


def taken(home: Path) -> int:
    """How many songs are in the journal."""
    journal = home / "state" / "journal.sqlite3"
    if not journal.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM jobs").fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0


def cost(checkout: Path, home: Path, files: int) -> Cost:
    """Run the service of a checkout until all songs are in its journal."""
    for folder in ("state", "outbox", "quarantine", "archive"):
        shutil.rmtree(home / folder, ignore_errors=True)
    (home / "stemwatch.yaml").write_text(
        json.dumps(
            {
                "folders": {f: f for f in ("inbox", "outbox", "quarantine", "archive")},
                "state_dir": "state",
                "watch": {"settle_seconds": 1.0},
                "api": {"base_url": "http://127.0.0.1:9/v1"},  # nobody listens there
                "log": {"level": "info", "format": "json"},
            }
        )
    )
    before = _below()
    began = time.monotonic()
    with (home / "service.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN, "run", "-c", str(home / "stemwatch.yaml")],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout), "STEMSPLIT_API_KEY": KEY},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        while taken(home) < files and process.poll() is None:
            time.sleep(0.2)
        took, memory = time.monotonic() - began, peak(process.pid)
        process.terminate()
        process.wait()
    if (done := taken(home)) < files:
        raise SystemExit(f"only {done} of {files} were taken in: see {home / 'service.log'}")
    return Cost(files / took, (_below() - before) / files * 1000, memory)


def _below() -> float:
    """CPU seconds of the processes that ended so far, and of those below them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    revision = sys.argv[2] if len(sys.argv) > 2 else BEFORE
    with tempfile.TemporaryDirectory() as folder:
        home, old = Path(folder, "home"), Path(folder, "old")
        songs(home / "inbox", files)
        subprocess.run(
            ["git", "worktree", "add", "-q", "--detach", old, revision], cwd=ROOT, check=True
        )
        try:
            found = {name: cost(at, home, files) for name, at in (("before", old), ("now", ROOT))}
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", old], cwd=ROOT, check=True)
    for name, one in found.items():
        print(
            f"{name:6} {files:,} small files: {one.a_second:6.0f} a second,"
            f" {one.cpu_ms:.2f} ms of CPU a file, {one.memory:.0f} MB at most"
        )
    before, now = found["before"], found["now"]
    print(
        f"{now.a_second / before.a_second:.2f} x as many a second (goal {GOAL}),"
        f" {now.cpu_ms / before.cpu_ms:.2f} x the CPU (goal {1 / GOAL:.2f})"
    )
    print(load())


if __name__ == "__main__":
    main()
