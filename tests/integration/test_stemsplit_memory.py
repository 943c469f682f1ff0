"""A 100 MB song goes up with a flat memory, and without holding the loop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.serving import ROOT
from tests.support.scenario.server import ScenarioServer

UPLOADER = """
import asyncio, json, os, sys, time
from stemwatch.job import Options
from stemwatch.stemsplit.interface import Upload
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.separate import SeparateApi
from tests.benchmarks.looking import peak_growth

async def main(url, small, big):
    api = SeparateApi(Calls(url, None))
    async def hold():
        pass
    async def send(path):
        fd = os.open(path, os.O_RDONLY)
        upload = Upload(fd, os.fstat(fd).st_size, "song.wav")
        await api.submit(upload, Options(), idempotency_key="k", before_last_bytes=hold,
                         on_sent=lambda n: None)
        os.close(fd)
    await send(small)
    lag = []
    async def watch():
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.002)
            lag.append(time.perf_counter() - start - 0.002)
    watcher = asyncio.create_task(watch())
    with peak_growth() as grown:
        await send(big)
    watcher.cancel()
    await api.aclose()
    print(json.dumps({"grown": grown(), "turns": len(lag)}))

asyncio.run(main(*sys.argv[1:]))
"""


def test_100_mb_upload(tmp_path: Path) -> None:
    """RSS grows by less than 8 MB, and other tasks run all the while."""
    small, big = tmp_path / "small.wav", tmp_path / "big.wav"
    small.write_bytes(b"RIFF" + bytes(100_000))
    with big.open("wb") as out:
        out.write(b"RIFF")
        out.truncate(100 * 1024 * 1024)
    with ScenarioServer() as server:
        done = subprocess.run(
            [sys.executable, "-c", UPLOADER, server.url, str(small), str(big)],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
        )
        assert server.requests("post")[-1]["size"] == 100 * 1024 * 1024
    found = json.loads(done.stdout)
    assert found["grown"] <= 8
    assert found["turns"] >= 5  # of 30 where it takes 70 ms
