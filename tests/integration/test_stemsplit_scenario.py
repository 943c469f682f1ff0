"""The scenario server itself: other tests stand on it."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from stemwatch.errors import RetryLater
from stemwatch.job import Options
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import RemoteStatus
from stemwatch.stemsplit.separate import SeparateApi
from tests.support.scenario.caller import Caller, make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


def get(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return bytes(answer.read())


def submit(url: str, path: Path, options: Options | None = None) -> str:
    async def once() -> str:
        api = SeparateApi(Calls(url, None))
        try:
            with Caller(path) as caller:
                return (await caller.submit(api, options)).remote_id
        finally:
            await api.aclose()

    return asyncio.run(once())


def until(url: str, job_id: str, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        data: dict[str, Any] = json.loads(get(f"{url}/jobs/{job_id}"))
        return data if good(data) else None

    found = wait_for(look)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_stems_are_real_audio(tmp_path: Path, kind: str) -> None:
    """They decode, and last as long as the song."""
    with ScenarioServer(job_seconds=0.0) as server:
        job_id = submit(server.url, make_song(tmp_path / "a.wav", 1.5), Options(2, kind))
        stems = until(server.url, job_id, lambda job: "stems" in job)["stems"]
        (tmp_path / "stem").write_bytes(get(stems["vocals"]))
    with av.open(str(tmp_path / "stem"), "r") as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(stream))
    assert abs(samples / 44100 - 1.5) < 0.06


def test_a_song_that_is_not_wav_is_measured(tmp_path: Path) -> None:
    """Its stems must have its length, or nobody could verify them."""
    from tests.support.scenario.stems import encoded

    (tmp_path / "a.mp3").write_bytes(encoded("x", "mp3", 1.2))
    with ScenarioServer(job_seconds=0.0) as server:
        job_id = submit(server.url, tmp_path / "a.mp3")
        job = until(server.url, job_id, lambda job: "stems" in job)
    assert abs(job["duration_seconds"] - 1.2) < 0.1


def test_a_process_of_its_own_with_a_ledger(tmp_path: Path) -> None:
    """It prints its URL, takes scenarios, shows its log and ledger, and remembers its jobs."""
    command = [
        sys.executable,
        "-m",
        "tests.support.scenario.server",
        "--ledger",
        str(tmp_path / "l"),
    ]
    command += ["--settings", '{"job_seconds": 0}']
    song = make_song(tmp_path / "a.wav")
    job_id = ""
    for run in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            where = json.loads(process.stdout.readline())
            if run == 0:
                steps = json.dumps({"post": [{"status": 503}]}).encode()
                urllib.request.urlopen(f"{where['origin']}/_scenario", steps).close()
                with pytest.raises(RetryLater):
                    submit(where["url"], song)
                job_id = submit(where["url"], song)
                log = json.loads(get(f"{where['origin']}/_log"))
                assert [entry["status"] for entry in log] == [503, 202]
            assert until(where["url"], job_id, lambda job: "stems" in job)["bpm"] == 124.0
            assert json.loads(get(f"{where['origin']}/_paid"))["total"] == 1
            process.terminate()
            assert process.wait(10) == 0


@pytest.mark.parametrize("strict", ["head", "end"])
def test_strict_concurrency(tmp_path: Path, strict: str) -> None:
    """Above the limit it says 429; a slot frees when its job ends."""
    song = make_song(tmp_path / "a.wav")
    with ScenarioServer(job_seconds=3600, concurrency=1, strict=strict) as server:
        first = submit(server.url, song)
        with pytest.raises(RetryLater) as caught:
            submit(server.url, song)
        assert (caught.value.code, caught.value.after) == ("rate_limited", 1.0)
        server.finish()
        until(server.url, first, lambda job: job["status"] == "completed")
        submit(server.url, song)
        assert server.paid["total"] == 2


def test_a_queue_instead(tmp_path: Path) -> None:
    """Without `strict`, jobs wait for each other."""
    song = make_song(tmp_path / "a.wav")
    with ScenarioServer(job_seconds=0.2, concurrency=1) as server:
        ids = [submit(server.url, song) for _ in range(3)]
        jobs = [server.routes.ledger.jobs[job_id] for job_id in ids]
    assert [round(b.starts - a.ends, 3) for a, b in itertools.pairwise(jobs)] == [0, 0]


def test_plans(tmp_path: Path) -> None:
    """Jobs can fail, never end, or say what nobody understands."""
    song = make_song(tmp_path / "a.wav")
    plans = [{"plan": "failed", "error": "no"}, {"plan": "never"}, {"plan": "stuck"}]
    with ScenarioServer(job_seconds=0.0) as server:
        server.scenario(jobs=plans)
        ids = [submit(server.url, song) for _ in plans]
        found = [json.loads(get(f"{server.url}/jobs/{job_id}")) for job_id in ids]
    assert [job["status"] for job in found] == ["failed", "processing", "warming_up"]
    assert found[0]["error"] == "no"


def test_hundreds_of_jobs(tmp_path: Path) -> None:
    """The soak needs thousands; each is counted by its content."""
    song = make_song(tmp_path / "a.wav", 0.05)

    async def many(url: str) -> None:
        api = SeparateApi(Calls(url, None))
        seats = asyncio.Semaphore(16)

        async def one() -> None:
            async with seats:
                with Caller(song) as caller:
                    done = await caller.submit(api)
                job = await api.job(done.remote_id, stems=2)
                assert job.status is RemoteStatus.COMPLETED

        await asyncio.gather(*(one() for _ in range(300)))
        await api.aclose()

    with ScenarioServer(job_seconds=0.0) as server:
        start = time.process_time()  # not of a machine that is busy
        asyncio.run(many(server.url))
        assert time.process_time() - start < 30
        assert list(server.paid["by_sha256"].values()) == [300]
