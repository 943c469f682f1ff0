"""Originals against prepared songs on a slow line: `python -m tests.benchmarks.bench_prepare`.

Twelve loud WAVs (0.65 of their size as FLAC) of 40 MB, 3 slots, jobs of 45 s, at 10 and 20 Mbit/s:
the same service with `prepare.upload: original` and with `auto`, one after the other in one run. By
default songs and jobs are a tenth (`--scale 1`: as they are, in half an hour), the line is not.

A run is measured from the first request of an upload to the last song's folder. The line's idle
time is the server's own count, over the number of gaps: it is told where the line binds, not the
slots. The next upload begins when the one before has half a second left at least, whatever the
scale: the sockets' buffers, which hold a quarter of a second of the line, don't get smaller.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.harness import Home
from tests.acceptance.songs import loud_wav
from tests.benchmarks.bench_makespan import delivered, queued, running
from tests.benchmarks.serving import scenario_server, seen
from tests.support.waiting import wait_for

FILES, SLOTS, JOB, SECONDS = 12, 3, 45.0, 227.0  # 227 s of sound are 40 MB
LINES = {10: 0.70, 20: 0.91}  # Mbit/s, and the makespan that is allowed against originals
BYTES, IDLE = 0.68, 0.050


@dataclass(frozen=True)
class Run:
    """Seconds from the first upload to the last folder, bytes of all uploads, idle s a gap."""

    makespan: float
    sent: int
    idle: float


def run(root: Path, upload: str, mbit: int, scale: float) -> Run:
    rate = mbit * 125_000
    settings = {
        "concurrency": SLOTS,
        "strict": "end",
        "up_rate": rate,
        "job_seconds": JOB * scale,
        "duration": SECONDS * scale,
        "probe": False,
    }
    with scenario_server(settings, {}, "--receive-buffer", str(64 * 1024)) as origin:
        sections = {
            "api": {"max_concurrent": SLOTS, "poll_interval": max(0.05, 3.0 * scale)},
            "separation": {"format": "mp3"},
            "prepare": {"upload": upload},
        }
        home = Home(root, f"{origin}/v1", **sections, budget={"minutes_per_day": 0.01})
        for number in range(FILES):
            song = loud_wav(number, seconds=SECONDS * scale)
            (home.inbox / f"song {number:03d}.wav").write_bytes(song)
        with running(home, scale):  # which takes the songs in, and may send none
            wait_for(lambda: queued(home) == FILES, timeout=300)
        home.configure(f"{origin}/v1", **sections)
        with running(home, scale, f"line={max(0.5, 2.0 * scale)}") as log:
            wait_for(lambda: len(delivered(log)) >= FILES, timeout=3600, every=0.1)
        told, ended = seen(origin), max(delivered(log))
    posts = [entry for entry in told["log"] if entry["route"] == "post"]
    begun, sent = min(entry["time"] for entry in posts), sum(entry["size"] for entry in posts)
    return Run(ended - begun, sent, told["uplink"]["idle"] / (FILES - 1))


def compare(mbit: int, scale: float) -> None:
    found = {}
    for upload in ("original", "auto"):
        root = Path(tempfile.mkdtemp(prefix="prepare-"))
        try:
            found[upload] = run(root / "home", upload, mbit, scale)
        finally:
            shutil.rmtree(root)
    before, after = found["original"], found["auto"]
    print(
        f"{mbit} Mbit/s: makespan {after.makespan:.1f} s / {before.makespan:.1f} s = "
        f"{after.makespan / before.makespan:.3f} x (goal {LINES[mbit]}), "
        f"bytes {after.sent / before.sent:.3f} x (goal {BYTES}), idle between two uploads "
        f"{after.idle * 1000:.0f} ms / {before.idle * 1000:.0f} ms "
        f"(goal {IDLE * 1000:.0f} where the line binds; load {os.getloadavg()[0]:.1f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.1, help="of songs and jobs")
    parser.add_argument("--mbit", type=int, action="append", choices=list(LINES))
    options = parser.parse_args()
    for mbit in options.mbit or LINES:
        compare(mbit, options.scale)


if __name__ == "__main__":
    main()
