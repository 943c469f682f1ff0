"""Fifty songs through a few slots: `python -m tests.benchmarks.bench_makespan [--scenario fast-3]`.

The real service as its own process, and in the same run the tutorial's batch code, against one
scenario server whose line both share. Jobs of 1.0 s stand for 45 s: all waiting times of both are
scaled alike (`--real-time` does not). Each figure is makespan / lower bound, where the bound has
jobs, slots, a serial uplink and a serial downlink, and no overhead.

The service finds its songs settled, hashed and probed: an earlier run of it, with a budget of
nothing, took them in. Measured from the first request that its server sees to the last song's
folder in the outbox; the tutorial's from its first request to its last file's last byte.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.acceptance.harness import SCALED, Home
from tests.benchmarks.makespan import (
    Scenario,
    Taken,
    bound,
    busiest,
    percentile,
    refills,
    song,
)
from tests.benchmarks.serving import ROOT, scenario_server, seen
from tests.support.waiting import wait_for

MB = 1_000_000
SCENARIOS = [
    Scenario("fast-3", 3),
    Scenario("fast-10", 10),
    Scenario("varying-3", 3, varies=0.25),
    Scenario("varying-10", 10, varies=0.25),
    Scenario("lengths-3", 3, varies=0.25, with_audio=True),
    Scenario("lengths-10", 10, varies=0.25, with_audio=True),
    Scenario("up-2MB", 3, song_bytes=2 * MB, up=10 * MB),
    Scenario("up-3MB", 3, song_bytes=3 * MB, up=10 * MB),
    Scenario("up-down", 3, song_bytes=2 * MB, up=10 * MB, audio=3 / 0.1764, down=20 * MB),
    Scenario("up-0.9MB-10", 10, song_bytes=900_000, up=10 * MB),
    Scenario("head-3", 3, strict="head"),
    Scenario("queue-10-of-3", 10, strict=None, server_slots=3),
]
REAL = Scenario("real-time", 3, song_bytes=10 * MB, audio=20.0, files=12)
HAS_REQUESTS = importlib.util.find_spec("requests") is not None
UNSCALED = ["status_every=1"]  # no song waits for it: scaled, the file is written 45 times a second
PER_MINUTE = 60  # requests; four times as many for 10 slots: about what the tutorial asks there


def server(scenario: Scenario, count: int, scale: float) -> AbstractContextManager[str]:
    """A scenario server of its own process; its origin."""
    plans = {
        name(number): {"plan": {"seconds": scenario.job * scale * scenario.factor(number)}}
        for number in range(count)
    }
    settings = {
        "concurrency": scenario.server_slots or scenario.slots,
        "strict": scenario.strict,
        "retry_after": f"{max(1, round(scale))}",
        "up_rate": scenario.up,
        "down_rate": scenario.down,
        "probe": False,
    }
    buffer = ["--receive-buffer", str(64 * 1024)] if scenario.up else []
    return scenario_server(settings, {"by_name": plans}, *buffer)


def name(number: int) -> str:
    return f"song {number:03d}.wav"


def fill(folder: Path, scenario: Scenario, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / name(number)).write_bytes(song(scenario, number))


def service(root: Path, scenario: Scenario, count: int, scale: float, wire: str) -> dict[str, Any]:
    """One run of the service; what the server saw of it, and when the last folder was there."""
    base = "/api/v1" if wire == "presigned" else "/v1"
    if wire == "presigned":  # which takes five seconds and more: a quarter less is still enough
        scenario = replace(scenario, audio=max(7.0, scenario.audio))
    with server(scenario, count, scale) as origin:
        api = {
            "poll_interval": max(0.05, 3.0 * scale),
            "requests_per_minute": PER_MINUTE * (1 if scenario.slots <= 3 else 4),
            "max_concurrent": scenario.slots,
        }
        sections = {
            "api": api,
            "log": {"level": "info"},
            "watch": {"rescan_seconds": 30.0},
            # These songs are silence beside noise that no FLAC keeps: nothing would be uploaded.
            "prepare": {"upload": "original"},
        }
        home = Home(root / "home", origin + base, **sections, budget={"minutes_per_day": 0.01})
        home.inbox.rmdir()
        fill(home.inbox, scenario, count)
        with running(home, scale):
            wait_for(lambda: queued(home) == count, timeout=120)
        home.configure(origin + base, **sections)
        with running(home, scale) as log:
            wait_for(lambda: len(delivered(log)) >= count, timeout=1800, every=0.1)
        return seen(origin) | {"ended": max(delivered(log))}


def queued(home: Home) -> int:
    try:
        return home.journal_count("queued")
    except Exception:  # not there yet, or just being made
        return 0


@contextmanager
def running(home: Home, scale: float, *single: str) -> Iterator[Path]:
    """The service; its log's path. `single`: times by themselves, as `tests.acceptance.scaled`."""
    path = home.root / f"log-{time.monotonic_ns()}"
    env = home.env() | {"PYTHONPATH": str(ROOT)}
    with path.open("wb") as log:
        command = [*SCALED, str(scale), str(home.config), *UNSCALED, *single]
        process = subprocess.Popen(command, cwd=home.root, env=env, stdout=log, stderr=log)
        try:
            yield path
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def delivered(log: Path) -> list[float]:
    """Unix times at which songs' folders appeared."""
    found = []
    for line in log.read_text().splitlines():
        if '"job.delivered"' in line and line.endswith("}"):
            at = datetime.strptime(json.loads(line)["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ")
            found.append(at.replace(tzinfo=UTC).timestamp())
    return found


def tutorial(root: Path, scenario: Scenario, count: int, scale: float) -> dict[str, Any]:
    with server(scenario, count, scale) as origin:
        fill(root / "music", scenario, count)
        command = [sys.executable, "-m", "tests.benchmarks.tutorial_batch", f"{origin}/v1"]
        command += [str(root / "music"), str(root / "out"), str(scenario.slots), str(scale)]
        told = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=-1).stdout)
        return seen(origin) | {"ended": told["started"] + told["seconds"], "failed": told["failed"]}


def figures(scenario: Scenario, run: dict[str, Any], scale: float) -> dict[str, float]:
    log, jobs = run["log"], run["paid"]["jobs"]
    taken = []
    for job in jobs:
        number = int(job["filename"].split()[1].split(".")[0])
        lasts = scenario.job * scale * scenario.factor(number)
        taken.append(Taken(number, job["accepted"], job["accepted"] + lasts))
    taken.sort(key=lambda job: job.accepted)
    count = len(taken)
    lowest = bound(scenario, [job.number for job in taken], scale)
    calls = [entry for entry in log if entry["route"] in {"post", "get", "ticket", "put"}]
    sent = sum(e.get("received", 0) for e in calls if e["route"] in {"post", "put"})
    refill = refills(taken, scenario.slots)
    return {
        "ratio": (run["ended"] - min(entry["time"] for entry in calls)) / lowest,
        "polls": sum(e["route"] == "get" for e in calls) / count,
        "requests": len(calls) / count,
        "busiest": busiest(log, 60.0 * scale),
        "refill50": percentile(refill, 0.5) / (scenario.job * scale),
        "refill95": percentile(refill, 0.95) / (scenario.job * scale),
        "r429": sum(entry["status"] == 429 for entry in log),
        "wasted": max(0.0, sent - count * scenario.song_bytes * 1.01) / MB,
        "failed": run.get("failed", 0),
    }


def line(who: str, found: list[dict[str, float]]) -> str:
    one = {key: statistics.median(run[key] for run in found) for key in found[0]}
    ratios = " ".join(f"{run['ratio']:.3f}" for run in found)
    return (
        f"  {who:9} {one['ratio']:6.3f} x LB ({ratios})  polls {one['polls']:4.1f}  "
        f"requests {one['requests']:4.1f}/job, {one['busiest']:3.0f}/min  "
        f"refill {one['refill50']:6.1%} {one['refill95']:6.1%}  429: {one['r429']:.0f}  "
        f"wasted {one['wasted']:.1f} MB" + (f"  lost {one['failed']:.0f}" if one["failed"] else "")
    )


def compare(scenario: Scenario, options: argparse.Namespace) -> None:
    scale = 1.0 if scenario is REAL else 1.0 / 45.0
    count = scenario.files or options.files
    runs: dict[str, list[dict[str, float]]] = {"stemwatch": [], "tutorial": []}
    for _ in range(1 if scenario is REAL else options.runs):
        for who in list(runs):
            if who == "tutorial" and (
                options.alone or importlib.util.find_spec("requests") is None
            ):
                continue
            root = Path(tempfile.mkdtemp(prefix="makespan-"))
            try:
                if who == "tutorial":
                    run = tutorial(root, scenario, count, scale)
                else:
                    run = service(root, scenario, count, scale, options.wire)
                runs[who].append(figures(scenario, run, scale))
            finally:
                shutil.rmtree(root)
    print(f"{scenario.name}  (load {os.getloadavg()[0]:.1f})", flush=True)
    for who, found in runs.items():
        if found:
            print(line(who, found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scenario", action="append", choices=[s.name for s in SCENARIOS])
    parser.add_argument("--real-time", action="store_true", help="45 s jobs: about 4 min each")
    parser.add_argument("--wire", choices=["separate", "presigned"], default="separate")
    parser.add_argument("--alone", action="store_true", help="without the tutorial's code")
    options = parser.parse_args()
    if not HAS_REQUESTS:
        print("without the tutorial's code: `requests` is not installed (pip install requests)")
    chosen = [s for s in SCENARIOS if s.name in (options.scenario or [s.name])]
    for scenario in [REAL] if options.real_time else chosen:
        compare(scenario, options)


if __name__ == "__main__":
    main()
