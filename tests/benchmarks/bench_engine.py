"""The built-in engine and its server at work: `python -m tests.benchmarks.bench_engine [MINUTES]`.

- A mix of 60 minutes (made here, never stored) to 2 WAV stems, in a process of its own with one
  thread: x realtime by its CPU time, and how much more memory it takes than for a tenth of it.
- `stemwatch serve` separates such a mix while its jobs are listed: latency of GET beside the same
  while it is idle.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stemwatch.audio.codec import Encoder
from stemwatch.server.made_song import make_song
from tests.benchmarks.looking import load, peak
from tests.support.server import Server

PIECE = 60  # seconds of song, repeated: what costs is the length, not the tune
LOOKS = 400
_ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def make_mix(path: Path, minutes: int) -> Path:
    mix, _ = make_song(seconds=PIECE, bpm=122, key="F minor")
    with Encoder(str(path), "flac") as encoder:
        for _ in range(minutes * 60 // PIECE):
            encoder.write(mix)
    return path


def separated(path: str, folder: str) -> None:
    """Run in a process of its own: prints x realtime and its peak memory in MB."""
    from stemwatch.server.engines.spectral.separation import separate

    started = time.process_time()
    made = separate(path, folder, stems=2, format="wav", progress=lambda _: None)
    spent = time.process_time() - started
    print(made.duration / spent, peak())


def engine(folder: Path, minutes: int) -> None:
    figures = {}
    for length in (max(1, minutes // 10), minutes):
        mix = make_mix(folder / f"{length}.flac", length)
        command = [sys.executable, "-m", "tests.benchmarks.bench_engine", "--one", str(mix)]
        answer = subprocess.run(
            [*command, str(folder)],
            env={**os.environ, **_ONE_CORE},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        speed, most = map(float, answer.split())
        figures[length] = most
        print(
            f"{length:3} minutes: {speed:.1f} x realtime on one core, peak {most:.0f} MB",
            flush=True,
        )
    short, long = figures.values()
    print(f"   {long / short:.2f} x the memory for {minutes} minutes")


def latencies(server: Server) -> list[float]:
    """ms of GET /api/v1/jobs, over one connection, from the quickest to the slowest."""
    taken = []
    for _ in range(LOOKS):
        started = time.perf_counter()
        server.http.get(f"http://127.0.0.1:{server.port}/api/v1/jobs").raise_for_status()
        taken.append((time.perf_counter() - started) * 1000)
        time.sleep(0.01)
    return sorted(taken)


def http(folder: Path) -> None:
    mix = make_mix(folder / "listened.flac", 5).read_bytes()
    with Server(folder / "data", engine=None, key="key") as server:
        rows = {"idle": latencies(server)}
        job = server.submit(mix, name="mix.flac").json()["job_id"]
        time.sleep(1.0)
        rows["computing"] = latencies(server)
        assert server.job(job)["status"] == "processing", "too quick to be listened to"
    for name, taken in rows.items():
        middle, high = taken[LOOKS // 2], taken[int(LOOKS * 0.95)]
        print(f"GET /jobs, {name:9}: p50 {middle:.1f}, p95 {high:.1f}, most {taken[-1]:.1f} ms")


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        separated(sys.argv[2], sys.argv[3])
        return
    with tempfile.TemporaryDirectory() as name:
        http(Path(name))
        engine(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else 60)
    print(load())


if __name__ == "__main__":
    main()
