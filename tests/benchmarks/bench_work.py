"""What stemwatch costs at work: `python -m tests.benchmarks.bench_work [SONGS]`.

30 songs of 10 MB through ten slots, jobs of 20 s, two stems of 8 MB each: the installed service,
unscaled, from the drop to the last folder, and the tutorial's own batch code with ten threads in
the same run. For each of a command's processes the most memory that was ever resident, and the CPU
time of all of them. Stems are opened by PyAV in a helper process, which comes and goes.

Goal: <= 48 MB in the service's own process. About three minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.harness import Home
from tests.benchmarks.bench_makespan import HAS_REQUESTS, fill, server
from tests.benchmarks.looking import load, peak
from tests.benchmarks.makespan import Scenario
from tests.benchmarks.serving import ROOT

WORK = Scenario("work", 10, job=20.0, song_bytes=10_000_000, audio=45.0)
SONGS = 30
EVERY = 0.1  # seconds between two looks at the processes
LONGEST = 600.0  # seconds: without an end by then a song went wrong


@dataclass
class Cost:
    """One command: the peak of its own process and of the largest below it (MB), CPU seconds."""

    own: float = 0.0
    helper: float = 0.0
    most_at_once: float = 0.0
    cpu: float = 0.0
    below: set[int] = field(default_factory=set)


def watched(command: list[str], home: Home, over: Callable[[], bool]) -> Cost:
    """Run a command until it has ended, or is asked to when its work is `over`."""
    cost, latest = Cost(), time.monotonic() + LONGEST
    log = home.root / "bench.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=home.env(), stdout=out, stderr=subprocess.STDOUT
        )
        while not (_gone(process.pid) or over()):
            look(process.pid, cost)
            time.sleep(EVERY)
            if time.monotonic() > latest:
                process.kill()
        if not _gone(process.pid):
            process.terminate()
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, log.read_text()[-2000:]
    cost.cpu = used.ru_utime + used.ru_stime
    return cost


def _gone(pid: int) -> bool:
    """Whether it has ended; it is still to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def look(pid: int, cost: Cost) -> None:
    """Note what a process and those that it started have had resident."""
    try:
        cost.own = max(cost.own, peak(pid))
    except (OSError, LookupError):
        return  # it ends just now
    together = 0.0
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            try:
                most = peak(child)
            except (OSError, LookupError):
                continue
            cost.below.add(child)
            cost.helper = max(cost.helper, most)
            together += most
    cost.most_at_once = max(cost.most_at_once, together)


def stemwatch(root: Path, count: int) -> Cost:
    with server(WORK, count, 1.0) as origin:
        api = {"requests_per_minute": 240, "poll_interval": 3.0, "max_concurrent": WORK.slots}
        watch = {"settle_seconds": 2.0, "rescan_seconds": 30.0}
        home = Home(root, f"{origin}/v1", api=api, watch=watch, log={"level": "info"})
        home.inbox.rmdir()
        fill(home.inbox, WORK, count)
        command = [sys.executable, "-m", "stemwatch.cli", "run", "-c", os.fspath(home.config)]
        return watched(command, home, lambda: len(home.sidecars()) >= count)


def tutorial(root: Path, count: int) -> Cost:
    with server(WORK, count, 1.0) as origin:
        home = Home(root, f"{origin}/v1")
        fill(root / "music", WORK, count)
        command = [sys.executable, "-m", "tests.benchmarks.tutorial_batch", f"{origin}/v1"]
        command += [str(root / "music"), str(root / "out"), str(WORK.slots), "1.0"]
        cost = watched(command, home, lambda: False)
        assert json.loads((home.root / "bench.log").read_text())["ok"] == count
        return cost


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SONGS
    print(f"{'':12}{'own MB':>8}{'helper':>8}{'helpers':>9}{'started':>9}{'CPU ms/song':>13}")
    runs = {"stemwatch": stemwatch} | ({"tutorial": tutorial} if HAS_REQUESTS else {})
    for who, run in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            cost = run(Path(folder), count)
        print(
            f"{who:12}{cost.own:8.1f}{cost.helper:8.1f}{cost.most_at_once:9.1f}"
            f"{len(cost.below):9}{cost.cpu * 1000 / count:13.0f}",
            flush=True,
        )
    if not HAS_REQUESTS:
        print("(no figures of the tutorial's code: it needs requests)")
    print("goal: <= 48 MB in the service's own process")
    print(load())


if __name__ == "__main__":
    main()
