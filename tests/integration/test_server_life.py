"""The local separation server's life: load, limits, kills, restarts, ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from statistics import median
from typing import Any

import httpx
import psutil
import pytest

from tests.support.broken import Broken, no_library
from tests.support.server import Server, environment, fetched, set_back, tone
from tests.support.waiting import NO_TLS, wait_for


def gone(processes: list[psutil.Process]) -> bool:
    return not any(map(lives, processes))


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it went between the two questions
        return False


def seconds(look: Callable[[], object]) -> float:
    began = time.perf_counter()
    look()
    return time.perf_counter() - began


def test_answers_stay_quick_while_it_computes(tmp_path: Path) -> None:
    """With every seat busy, an answer takes less than 50 ms at the median; workers are nice.

    Where others load the machine, so slow may be an idle server's answers as well: those of one
    are measured in turns with these.
    """
    options = ("--jobs", "2")
    with (
        Server(tmp_path / "idle") as idle,
        Server(tmp_path / "data", *options, engine="busy") as server,
    ):
        done = idle.ended(idle.submit().json()["job_id"])["job_id"]
        jobs = [server.submit().json()["job_id"] for _ in range(3)]
        busy = server.started(2)
        times, others = [], []
        for job in [jobs[0], jobs[2]] * 20:
            times.append(seconds(partial(server.job, job)))
            others.append(seconds(partial(idle.job, done)))
        assert min(times) < 0.05
        assert median(times) < max(0.05, 3 * median(others))
        running, waiting = server.job(jobs[0]), server.job(jobs[2])
        assert (running["status"], running["queue_position"]) == ("processing", None)
        wait_for(lambda: server.job(jobs[0])["progress"] == 0.25, what="progress")
        assert (waiting["progress"], waiting["queue_position"]) == (0.0, 0)
        health = server.http.get("/health").json()
        assert (health["running"], health["queued"]) == (2, 1)
        assert [one.nice() - psutil.Process().nice() for one in busy] == [5, 5]
        assert {one.environ()["OPENBLAS_NUM_THREADS"] for one in busy} == {"1"}
        server.open_gate()
        assert {server.ended(job)["status"] for job in jobs} == {"completed"}


def test_a_strict_limit_answers_429(tmp_path: Path) -> None:
    """Above --jobs uploads are refused with a time to come back, and taken once a seat is free."""
    options = ("--jobs", "1", "--strict-limit")
    with Server(tmp_path / "data", *options, engine="gated") as server:
        first = server.submit(key="one").json()["job_id"]
        refused = server.submit(key="two")
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        assert list(refused.json()) == ["error"]
        assert server.submit(key="one").json()["job_id"] == first
        server.open_gate()
        server.ended(first)
        assert wait_for(lambda: server.submit(key="two").status_code == 202, what="a free seat")


def test_keys_are_apart_and_take_turns(tmp_path: Path) -> None:
    """One that queues much keeps no other waiting, and sees only its own; as in a cluster."""
    keys = tmp_path / "keys"
    keys.write_text(
        "".join(f"{name} {sha256(name.encode()).hexdigest()}\n" for name in ("big", "small"))
    )
    options = ("--jobs", "1", "--credits", "8", "--keys-file", str(keys))
    with Server(tmp_path / "data", *options, engine="gated") as server:

        def made(name: str) -> httpx.Response:
            server.http.headers["Authorization"] = f"Bearer {name}"
            return server.submit()

        big = [made("big").json()["job_id"] for _ in range(6)]
        server.started()
        small = [made("small").json()["job_id"] for _ in range(2)]
        assert [server.job(one)["queue_position"] for one in small] == [1, 3]
        assert server.http.get(f"/jobs/{big[0]}").status_code == 404
        base = server.base_url.replace("/v1", "/api/v1")
        left = server.http.get(f"{base}/balance").json()["balanceSeconds"]
        listed = server.http.get(f"{base}/jobs").json()["jobs"]
        assert (left, [one["id"] for one in listed]) == (6, small[::-1])
        assert made("nobody").status_code == 401
        assert [made("big").status_code for _ in range(3)] == [202, 202, 402]


def test_a_large_upload_leaves_memory_flat(tmp_path: Path) -> None:
    """100 MB are streamed to disk while the server's memory stays where it was."""
    block = bytes(1_000_000)
    head = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    fields = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("stems", "2"), ("format", "wav"))
    )

    def body() -> Iterator[bytes]:
        yield fields.encode() + head
        for _ in range(100):
            yield block
            peaks.append(process.memory_info().rss)
        yield b"\r\n--x--\r\n"

    with Server(tmp_path / "data") as server:
        process, peaks = psutil.Process(server.process.pid), []
        before = process.memory_info().rss
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = server.http.post("/separate", content=body(), headers=headers)
        assert (answer.status_code, len(peaks)) == (415, 100)  # received whole: zeros are no audio
        assert max(peaks) - before < 16_000_000


def test_a_kill_while_separating_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL ends the workers too; the next start finishes the same jobs, keys and URLs hold."""
    data = tmp_path / "data"
    with Server(data, "--jobs", "1", engine="gated") as server:
        server.open_gate()
        done = server.ended(server.submit().json()["job_id"])
        (server.room / "open").unlink()
        jobs = [server.submit(key=str(number)).json()["job_id"] for number in range(2)]
        server.started(1)
        wait_for(lambda: server.job(jobs[0])["progress"] == 0.25, what="a running job")
        family = server.workers()
        server.process.kill()
        wait_for(lambda: gone(family), what="the workers' end")
        (data / "incoming" / "job_half").mkdir()
    with Server(data, "--jobs", "1", engine="gated") as server:
        assert list((data / "incoming").iterdir()) == []
        assert server.submit(key="0").json()["job_id"] == jobs[0]
        url = httpx.URL(done["stems"]["vocals"]).copy_with(port=server.port)
        assert fetched(url).status_code == 200
        server.open_gate()
        assert [server.ended(job)["status"] for job in jobs] == ["completed", "completed"]
        assert len(list((data / "jobs").iterdir())) == 3
        folder = data / "jobs" / jobs[0]
        wait_for(lambda: sorted(os.listdir(folder)) == ["job.json", "stems"], what="no input")


def test_a_job_whose_folder_is_deleted_is_forgotten(tmp_path: Path) -> None:
    """It was tried each second for good; to its client it is as gone as after a restart."""
    with Server(tmp_path / "data", "--jobs", "1", engine="gated") as server:
        first, gone, last = (server.submit().json()["job_id"] for _ in range(3))
        server.started()
        rmtree(tmp_path / "data" / "jobs" / gone)
        server.open_gate()
        assert server.ended(last)["status"] == "completed"
        path = f"/jobs/{gone}"
        wait_for(lambda: server.http.get(path).status_code == 404, what="the end of the other")
        assert server.job(first)["status"] == "completed"


def test_a_signal_ends_it_soon(tmp_path: Path) -> None:
    """With a job and a half-sent upload under way it exits 0, waits for neither, keeps the job."""
    with Server(tmp_path / "data", engine="gated") as server:
        job = server.submit().json()["job_id"]
        server.started()
        family = server.workers()
        with socket.create_connection(("127.0.0.1", server.port)) as half:
            half.sendall(
                b"POST /v1/separate HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            )
            wait_for(lambda: list((server.data_dir / "incoming").iterdir()), what="an upload")
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(timeout=30) == 0
        assert gone(family)
        assert (server.data_dir / "jobs" / job / "job.json").exists()
        assert list((server.data_dir / "incoming").iterdir()) == []


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("moody") / "data"
    with Server(data, "--jobs", "1", engine="moody") as server:
        yield server


def in_mood(server: Server, mood: str) -> tuple[dict[str, Any], int]:
    """A job done in this mood, and how many workers died over it."""
    for old in server.room.glob("death-*"):
        old.unlink()
    (server.room / "mood").write_text(mood)
    job = server.ended(server.submit().json()["job_id"])
    return job, len(list(server.room.glob("death-*")))


def test_a_worker_that_dies_once_is_forgiven(moody: Server) -> None:
    """A worker killed over a job costs one more attempt, not the job."""
    job, deaths = in_mood(moody, "1")
    assert (job["status"], deaths) == ("completed", 1)


def test_a_worker_that_dies_again_fails_the_job(moody: Server) -> None:
    """Two deaths over one file fail it, with the reason; the next job finds a new worker."""
    job, deaths = in_mood(moody, "9")
    assert (job["status"], job["stems"], deaths) == ("failed", {}, 2)
    assert "killed" in job["error"]
    assert in_mood(moody, "0")[0]["status"] == "completed"


@pytest.mark.parametrize(
    ("mood", "words"), [("refuse", "'song.wav' is not to my taste. Sing."), ("full", "No space")]
)
def test_an_engine_that_refuses_fails_the_job(moody: Server, mood: str, words: str) -> None:
    """The engine's own words reach the client, with the client's file name; the input is gone."""
    job, _ = in_mood(moody, mood)
    assert (job["status"], words in job["error"]) == ("failed", True)
    folder = moody.data_dir / "jobs" / job["job_id"]

    def files() -> list[str]:
        return [path.name for path in folder.iterdir() if path.is_file()]

    wait_for(lambda: files() == ["job.json"], what="the end of its input")


@pytest.mark.parametrize("mood", ["eio once", "away once"])
def test_a_read_that_fails_once_is_forgiven(moody: Server, mood: str) -> None:
    """Of all faults of a disk only a full one passed; any other cost the job for good."""
    job, _ = in_mood(moody, mood)
    assert job["status"] == "completed"


def test_one_song_that_an_engine_fails_for_is_failed(moody: Server) -> None:
    """With a made sound it works, so it is this song; the server goes on."""
    job, _ = in_mood(moody, "odd")
    assert (job["status"], "TypeError" in job["error"]) == ("failed", True)
    assert moody.http.get("/health").status_code == 200


@pytest.mark.parametrize("mood", ["broken by type", "broken by crash"])
def test_a_broken_engine_fails_no_job(moody: Server, mood: str) -> None:
    """The server says that it is unable, takes nothing, and does all of it once it is mended."""
    (moody.room / "mood").write_text(mood)
    jobs = [moody.submit(key=f"{mood} {number}").json()["job_id"] for number in range(2)]
    wait_for(lambda: moody.http.get("/health").status_code == 503, what="its word that it can't")
    assert moody.http.get("/health").json()["status"] == "unable"
    refused = moody.submit(key="one more")
    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
    assert "no song at all" in refused.json()["error"]
    assert "-m pip install --upgrade" in refused.json()["error"]
    assert [moody.job(job)["status"] for job in jobs] == ["processing", "processing"]
    (moody.room / "mood").write_text("0")
    assert [moody.ended(job)["status"] for job in jobs] == ["completed", "completed"]
    assert moody.http.get("/health").json()["status"] == "ok"
    for death in moody.room.glob("death-*"):
        death.unlink()


def test_a_decoder_that_is_missing_blames_no_upload(tmp_path: Path) -> None:
    """It is not refused as unsupported, which a client would take for its last word."""
    broken = Broken(tmp_path)
    broken.by(no_library("av"))
    with Server(tmp_path / "data", env=broken.env) as server:
        refused = server.submit()
        assert refused.status_code == 503
        assert "av" in refused.json()["error"]
        broken.mend()
        assert wait_for(lambda: server.submit().status_code == 202, what="it mended")


def test_a_stem_url_expires(tmp_path: Path) -> None:
    """It ends with its time; the job gives a fresh one that works."""
    with Server(tmp_path / "data", "--url-ttl", "3") as server:
        job = server.ended(server.submit().json()["job_id"])
        url = job["stems"]["vocals"]
        assert fetched(url).status_code == 200
        wait_for(lambda: fetched(url).status_code == 403, what="the URL's end")
        assert "expired" in fetched(url).json()["error"]
        assert fetched(server.job(job["job_id"])["stems"]["vocals"]).status_code == 200


def test_old_results_go(tmp_path: Path) -> None:
    """A result ends with its time; that it was is told for as long again, then it is unknown."""
    data = tmp_path / "data"
    with Server(data, "--keep-hours", "1") as server:
        job_id = server.ended(server.submit().json()["job_id"])["job_id"]
    set_back(data, job_id, 1.5)
    with Server(data, "--keep-hours", "1") as server:
        path = f"/jobs/{job_id}"
        wait_for(lambda: server.http.get(path).status_code == 404, what="the result's end")
        job = fetched(f"http://127.0.0.1:{server.port}/api/v1{path}").json()
        assert (job["status"], job["outputs"], job["progress"]) == ("EXPIRED", None, 100)
        assert "stems" not in os.listdir(data / "jobs" / job_id)
    with Server(data, "--keep-hours", str(1 / 3600)) as server:  # also of those that it made
        server.submit()
        wait_for(lambda: not os.listdir(data / "jobs"), what="the end of all of it")


def test_a_disk_without_room_takes_no_uploads(tmp_path: Path) -> None:
    """Below --min-free an upload is put off, not failed."""
    with Server(tmp_path / "data", "--min-free", str(10**18)) as server:
        answer = server.submit()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert "disk is full" in answer.json()["error"]


def test_jobs_that_wait_for_room_are_told_of(tmp_path: Path) -> None:
    """Taken before the disk filled up: all seats waited in silence, and the health was `ok`."""
    with Server(tmp_path / "data", "--jobs", "2", engine="gated") as server:
        jobs = [server.submit().json()["job_id"] for _ in range(2)]
    full = ("--jobs", "2", "--min-free", str(10**18))
    with Server(tmp_path / "data", *full) as server:
        wait_for(lambda: said(server, "no_room") == 2, what="a word of both")
        assert server.job(jobs[0])["status"] == "processing"
        server.process.terminate()
        _, told = server.process.communicate(timeout=20)
    (line,) = told.splitlines()
    assert line.startswith("stemwatch serve: jobs wait for room: less than 1000000000.0 GB is free")
    with Server(tmp_path / "data") as server:
        assert [server.ended(one)["status"] for one in jobs] == ["completed", "completed"]
        wait_for(lambda: said(server, "ok") == 0, what="the end of both seats' work")


def said(server: Server, word: str) -> int | None:
    """How many jobs run, where its health is in this word; else None."""
    answer = server.http.get("/health")
    health = answer.json()
    found = (answer.status_code, health["status"]) == (200, word)
    return int(health["running"]) if found else None


def test_a_page_of_a_long_queue_costs_little(tmp_path: Path) -> None:
    """While it was made, the server answered nobody, for a time that grew by the square of it."""
    for number in range(3000):
        folder = tmp_path / "data" / "jobs" / f"job_{number:024x}"
        folder.mkdir(parents=True)
        job = {"id": folder.name, "name": "a.wav", "input": "input.wav", "stems": 2,
               "format": "wav", "engine": "copy", "created_at": float(number)}  # fmt: skip
        (folder / "job.json").write_text(json.dumps(job))
    with Server(tmp_path / "data", "--jobs", "1", "--min-free", str(10**18)) as server:
        assert wait_for(lambda: said(server, "no_room"), what="the first one") == 1
        process = psutil.Process(server.process.pid)
        before = process.cpu_times()
        url = server.base_url.replace("/v1", "/api/v1/jobs?status=PENDING&limit=100&offset=2899")
        with httpx.Client(timeout=30) as http:
            pages = [http.get(url).json() for _ in range(10)]
        after = process.cpu_times()
        assert pages[0]["pagination"]["total"] == 2999
        assert [one["id"] for one in pages[0]["jobs"]] == [
            f"job_{at:024x}" for at in range(100, 0, -1)
        ]
        assert after.user - before.user < 0.5  # of the processor, not of a machine that is busy
        last = f"job_{2999:024x}"
        assert server.job(last)["queue_position"] == 2998


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """A parent that is killed takes the server and its workers along."""
    code = (
        "import asyncio, sys\n"
        "from stemwatch.server.spawn import LocalServer\n"
        "async def main():\n"
        "    server = LocalServer(sys.argv[1], jobs=1,\n"
        "                         engine='tests.support.server_engines:gated',\n"
        "                         broken=print)\n"
        "    url, key = await server.start()\n"
        "    assert not {'starlette', 'uvicorn', 'numpy', 'av'} & set(sys.modules)\n"
        "    print(url, key, server.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    with parent:
        assert parent.stdout is not None
        url, key, pid = parent.stdout.readline().split()
        child = psutil.Process(int(pid))
        assert key not in " ".join(child.cmdline()) + " ".join(child.environ().values())
        answer = httpx.post(
            f"{url}/separate",
            files={"audio": ("a.wav", tone())},
            data={"stems": "2", "format": "wav"},
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,  # it may have to start its processes first
            verify=NO_TLS,
        )
        assert answer.status_code == 202
        wait_for(lambda: list(tmp_path.glob("started-*")), what="a separation")
        family = [child, *child.children(recursive=True)]
        assert len(family) == 3  # the server, its prober, its worker
        parent.kill()
    wait_for(lambda: gone(family), timeout=30, what="the family's end")


def run_main(*options: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "stemwatch.server", *options]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, env={**environment(), **env}
    )


def test_bad_starts_say_what_is_wrong(tmp_path: Path) -> None:
    """A taken port, a taken or unusable folder, an unknown engine: one sentence, one exit code."""
    with Server(tmp_path / "data") as server:
        other = ("--data-dir", str(tmp_path / "other"))
        taken = run_main(*other, "--port", str(server.port))
        twice = run_main("--data-dir", str(tmp_path / "data"))
    (tmp_path / "file").touch()
    unusable = run_main("--data-dir", str(tmp_path / "file"))
    unknown = run_main(*other, "--engine", "spektral")
    keys = run_main(*other, "--keys-file", str(tmp_path / "file"), STEMWATCH_SERVE_KEY="k")
    expected = [(1, "Can't listen"), (75, "Another"), (78, "can't be used"), (78, "'spectral'"),
                (78, "$STEMWATCH_SERVE_KEY and --keys-file")]  # fmt: skip
    found = [taken, twice, unusable, unknown, keys]
    assert [one.returncode for one in found] == [code for code, _ in expected]
    for one, (_, words) in zip(found, expected, strict=True):
        assert words in one.stderr
        assert (one.stderr.count("\n"), one.stdout) == (1, "")
    assert "--data-dir" in unusable.stderr
    child = run_main("--data-dir", str(tmp_path / "file"), "--exit-with-stdin")
    assert "state_dir" in child.stderr  # `run --local` has no --data-dir
    assert "--data-dir" not in child.stderr


def test_an_open_server_warns(tmp_path: Path) -> None:
    """Without a key on an address that others reach, the owner is told; Ctrl-C ends it well."""
    with Server(tmp_path / "data", "--host", "0.0.0.0") as server:  # noqa: S104
        assert server.process.stdout is not None
        told = server.process.stdout.readline()
        server.process.send_signal(signal.SIGINT)
        _, errors = server.process.communicate()
        assert server.process.returncode == 0
        assert "anybody may separate" in errors
        assert "--key-file or $STEMWATCH_SERVE_KEY" in errors
        # 0.0.0.0 is of no use to another machine: its own name is, or its address.
        assert f"from other machines: http://{socket.gethostname()}:{server.port}/v1" in told
        assert os.path.exists(tmp_path / "data" / "secret")
        assert (tmp_path / "data" / "secret").stat().st_mode & 0o777 == 0o600
