"""A cluster on a real PostgreSQL: front ends and workers that come, go and die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path
from shutil import rmtree

import httpx
import psutil
import psycopg
import pytest

from stemwatch.server.cluster.database import Database
from stemwatch.server.cluster.sweeper import sweep
from tests.benchmarks.bench_cluster import uploads
from tests.support.cluster import COMMAND, SHORT, SONG, Cluster, at_once, family, kill
from tests.support.postgres import PASSWORD, Postgres, needs_postgres
from tests.support.server import Server, fetched
from tests.support.waiting import wait_for
from tests.support.webhook_receiver import Receiver

pytestmark = [needs_postgres, pytest.mark.xdist_group("cluster")]


@pytest.fixture
def cluster(tmp_path: Path, postgres: Postgres) -> Iterator[Cluster]:
    with Cluster(tmp_path, postgres) as made:
        yield made


def test_a_song_goes_through(cluster: Cluster) -> None:
    """Submitted at one front end, separated by a worker, asked for and fetched at another."""
    one, two, worker = at_once(
        cluster.front, cluster.front, lambda: cluster.worker("--name", "gpu-1", stall=60)
    )
    made = one.submit(key="k")
    assert made.status_code == 202
    job = two.ended(made.json()["job_id"])
    assert (job["status"], job["bpm"], job["progress"]) == ("completed", 120.0, 1.0)
    assert job["engine"] == "tests.support.server_engines:copy"
    stem = fetched(job["stems"]["vocals"])
    assert (stem.status_code, stem.content[:4]) == (200, b"RIFF")
    assert two.submit(key="k").json() == {"job_id": job["job_id"], "status": "completed"}
    # The engine is in a process of its own. Its share of what both have loaded counts by half.
    assert psutil.Process(worker.pid).memory_full_info().pss < 40_000_000
    # Nothing of it is left in the queue, and the input has gone.
    assert cluster.ask("select count(*) from procrastinate_jobs") == 0
    folder = cluster.data / "jobs" / job["job_id"]
    wait_for(lambda: os.listdir(folder) == ["stems"], what="the end of its input")

    def idle() -> bool:
        load = one.http.get("/health").json()
        return (load["seats"], load["queued"], load["running"]) == (1, 0, 0)

    wait_for(idle, what="a fresh look")
    metrics = fetched(one.url.replace("/v1", "/metrics")).text
    assert "stemwatch_serve_seats 1\n" in metrics
    assert 'worker_seats{name="gpu-1",engine="tests.support.server_engines:copy"' in metrics
    health = one.http.get("/health").json()
    assert [worker["name"] for worker in health["workers"]] == ["gpu-1"]
    assert (
        "gpu-1: tests.support.server_engines:copy, 1 at once"
        in cluster.run("queue", "status").stdout
    )


def test_the_tables_are_made_once(tmp_path: Path, postgres: Postgres) -> None:
    """After an update, the same command does no harm to what is there."""
    with Cluster(tmp_path, postgres, tables=False) as cluster:
        assert "queue init" in cluster.run("queue", "status", check=False).stderr
        cluster.run("queue", "init")
        job = cluster.front().submit().json()["job_id"]
        cluster.run("queue", "init")
        assert cluster.record(job)["state"] == "processing"
        assert cluster.run("queue", "status").stdout.startswith("1 wait")


def test_a_worker_has_loaded_nothing_that_others_need(cluster: Cluster) -> None:
    """From its start to its end, with a song in between: each machine would keep it for years."""
    code = (
        "import sys; from stemwatch.cli import run; assert run(sys.argv[1:]) == 0;"
        "print('loaded:', *sys.modules)"
    )
    worker = cluster.worker(program=[sys.executable, "-P", "-c", code])
    front = cluster.front()
    front.ended(front.submit().json()["job_id"])
    worker.send_signal(signal.SIGTERM)
    assert worker.stdout is not None
    loaded = set(worker.stdout.read().partition("loaded: ")[2].split())
    tops = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    tops = {one for one in tops if not one.startswith(("_", "cython", "sitecustomize"))}
    brought_along = {"asgiref", "attr", "croniter", "dateutil", "packaging", "typing_extensions"}
    psycopg_s = {"psycopg", "psycopg_binary", "psycopg_pool"}
    assert tops <= {"stemwatch", "click", "procrastinate"} | psycopg_s | brought_along
    assert not any(name.startswith(("stemwatch.config", "stemwatch.log")) for name in loaded)
    assert len(loaded) <= 470  # 439 with Python 3.11


def test_progress_reaches_the_poll(cluster: Cluster) -> None:
    """Within two seconds, and a busy machine's some more; the one that waits knows its place."""
    front, _ = at_once(cluster.front, lambda: cluster.worker(engine="gated"))
    first, second, third = (front.submit().json()["job_id"] for _ in range(3))
    cluster.started()
    began = time.monotonic()
    wait_for(lambda: front.job(first)["progress"] == 0.25, what="progress")
    assert time.monotonic() - began < 10
    assert [front.job(one)["queue_position"] for one in (first, second, third)] == [None, 0, 1]
    load = json.loads(cluster.run("queue", "status", "--json").stdout)
    assert (load["waiting"], load["running"], load["seats"]) == (2, 1, 1)
    assert load["oldest"] >= 0
    cluster.open_gate()
    assert front.ended(third)["status"] == "completed"


def test_a_worker_without_room_is_told_of(cluster: Cluster) -> None:
    """In its own log, by every front end, and by `queue status`: its seats waited in silence."""
    code = (
        "import sys; from stemwatch.cli import run; from stemwatch.server.options import Options;"
        "Options.__init__.__kwdefaults__['min_free'] = 10**18; run(sys.argv[1:])"
    )
    front = cluster.front()
    cluster.worker(program=[sys.executable, "-P", "-c", code])
    assert front.http.get("/health").json()["status"] == "ok"
    front.submit()

    def short() -> bool:
        health = front.http.get("/health").json()
        return bool(health["status"] == "no_room" and health["workers"][0]["no_room"])

    wait_for(short, what="a word of it")
    assert "1 at once, waits for room on the disk" in cluster.run("queue", "status").stdout
    told = (cluster.room / "workers.log").read_text()
    assert told.count("stemwatch worker: jobs wait for room: less than") == 1


def test_a_stop_gives_the_work_back_at_once(cluster: Cluster) -> None:
    """SIGTERM, as a spot notice: another worker has it long before the stall time."""
    front, leaving = at_once(
        cluster.front, lambda: cluster.worker(engine="gated", beat=10, stall=60)
    )
    job = front.submit().json()["job_id"]
    (pid,) = cluster.started()
    cluster.worker(engine="gated", beat=10, stall=60)
    began = time.monotonic()
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(30) == 0
    cluster.started(2)
    assert time.monotonic() - began < 30
    assert not psutil.pid_exists(pid)
    cluster.open_gate()
    assert front.ended(job)["status"] == "completed"
    record = cluster.record(job)
    assert (record["crashes"], record["lost"]) == (0, 0)
    assert cluster.ask("select count(*) from procrastinate_workers") == 1


def test_a_dead_machine_s_work_goes_to_another(cluster: Cluster) -> None:
    """After the stall time and two heartbeats; the loss is the machine's, not the file's."""
    front, dying = at_once(cluster.front, lambda: cluster.worker(engine="gated", **SHORT))
    wait_for(lambda: up(cluster) > 2 * SHORT["stall"], what="a database that is up for long enough")
    job = front.submit().json()["job_id"]
    cluster.started()
    cluster.worker(engine="gated", **SHORT)
    newest = "select max(last_heartbeat) from procrastinate_workers where id ="
    other = cluster.ask("select max(id) from procrastinate_workers")
    first = cluster.ask(f"{newest} %s", other)
    beaten = f"select ({newest} %s) > %s::timestamptz + make_interval(secs => %s)"
    wait_for(lambda: cluster.ask(beaten, other, first, SHORT["stall"]), what="the other's beats")
    children = family(dying)
    kill(dying)
    began = time.monotonic()
    cluster.started(2)
    assert time.monotonic() - began < SHORT["stall"] + 2 * SHORT["beat"] + 10
    wait_for(lambda: not any(one.is_running() for one in children), what="the engine's end")
    cluster.open_gate()
    assert front.ended(job)["status"] == "completed"
    record = cluster.record(job)
    assert (record["crashes"], record["lost"]) == (0, 1)


def test_two_sweepers_take_a_job_from_nobody_who_runs_it(cluster: Cluster) -> None:
    """Of two that see the same stalled job at once, one puts it back, and only once."""
    front = cluster.front()
    job = front.submit().json()["job_id"]
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("insert into procrastinate_workers default values")
        connection.execute("update procrastinate_workers set last_heartbeat = 'yesterday'")
        connection.execute(
            "update procrastinate_jobs set status = 'doing',"
            " worker_id = (select max(id) from procrastinate_workers)"
        )
    wait_for(lambda: up(cluster) > 2 * 0.1, what="a database that is up for long enough")

    async def both() -> list[int | None]:
        databases = [Database(cluster.url, "here") for _ in range(2)]
        for one in databases:
            await one.open()
        swept = await asyncio.gather(
            *(sweep(one, 0.1, lambda _: None, beating=1.0) for one in databases)
        )
        for one in databases:
            await one.close()
        return list(swept)

    swept = asyncio.run(both())
    assert sorted(swept, key=str) in ([0, 1], [1, None])
    assert cluster.record(job)["lost"] == 1
    assert cluster.ask("select count(*) from procrastinate_jobs where status = 'todo'") == 1


def test_a_long_outage_makes_nobody_look_gone(tmp_path: Path) -> None:
    """The database is away for longer than the stall time; an idle worker is back first.

    The one that works finds its way back later: it must not have lost its song meanwhile.
    """
    beat, stall = SHORT["beat"], 2 * SHORT["stall"]  # which leaves a slow machine time to be back
    with Postgres() as own, Cluster(tmp_path, own) as cluster:
        worker = partial(cluster.worker, engine="gated", beat=beat, stall=stall)
        front, busy = at_once(cluster.front, worker)
        job = front.submit().json()["job_id"]
        (pid,) = cluster.started()
        worker()  # idle
        busy.send_signal(signal.SIGSTOP)
        own.kill()
        began = time.monotonic()
        away = front.http.get(f"/jobs/{job}")
        assert (away.status_code, away.headers["retry-after"]) == (503, "5")
        # The answer has taken about as long.
        wait_for(lambda: time.monotonic() - began > stall, what="an outage that is long enough")
        own.start()
        beaten = (
            "select count(*) from procrastinate_workers"
            " where last_heartbeat > pg_postmaster_start_time() + make_interval(secs => %s)"
        )
        wait_for(lambda: cluster.ask(beaten, 1.0) == 1, what="the idle worker's heartbeats")
        busy.send_signal(signal.SIGCONT)
        wait_for(lambda: cluster.ask(beaten, 2.3 * stall) == 2, what="the time that sweeps begin")
        assert cluster.started() == [pid]
        cluster.open_gate()
        assert front.ended(job)["status"] == "completed"
        assert cluster.record(job)["lost"] == 0


def test_a_second_delivery_touches_neither_an_attempt_nor_a_result(cluster: Cluster) -> None:
    """Two workers at one job: the first one's folder stays, then its stems do."""
    front, _ = at_once(cluster.front, lambda: cluster.worker(engine="gated"))
    job = front.submit().json()["job_id"]
    cluster.started()
    (work,) = (cluster.data / "jobs" / job).glob("work-*")
    with psycopg.connect(cluster.url, autocommit=True) as connection:  # as a wrong sweep would
        connection.execute("update procrastinate_jobs set status = 'todo', worker_id = null")
    cluster.worker(engine="gated")
    cluster.started(2)
    assert work.is_dir()
    assert len(list((cluster.data / "jobs" / job).glob("work-*"))) == 2
    cluster.open_gate()
    assert front.ended(job)["status"] == "completed"
    wait_for(lambda: os.listdir(cluster.data / "jobs" / job) == ["stems"], what="one result")
    stems = (cluster.data / "jobs" / job / "stems").stat()
    with psycopg.connect(cluster.url, autocommit=True) as connection:  # and once more, after it
        connection.execute(
            "select procrastinate_defer_jobs_v1(array[row('songs-2', 'separate', 0, null, null,"
            " jsonb_build_object('song', %s::text), null)::procrastinate_job_to_defer_v1])",
            (job,),
        )
    wait_for(lambda: not cluster.ask("select count(*) from procrastinate_jobs"), what="a look")
    now = (cluster.data / "jobs" / job / "stems").stat()
    assert (now.st_ino, now.st_mtime_ns) == (stems.st_ino, stems.st_mtime_ns)
    assert len(cluster._started()) == 2


def test_machines_that_die_do_not_fail_a_song(cluster: Cluster) -> None:
    """Three of them, one after another; at the fifth it would be given up, and told so."""
    front = cluster.front()
    job = front.submit().json()["job_id"]
    for lost in range(3):
        worker = cluster.worker(engine="gated")
        cluster.started(lost + 1)
        kill(worker)
        swept_by_hand(cluster)
    cluster.worker(engine="gated")
    cluster.open_gate()
    assert front.ended(job)["status"] == "completed"
    record = cluster.record(job)
    assert (record["crashes"], record["lost"]) == (0, 3)
    kill(cluster.workers[-1])
    (cluster.steering / "open").unlink()
    other = front.submit().json()["job_id"]
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        text = json.dumps({**cluster.record(other), "lost": 4})
        connection.execute("update stemwatch_song set record = %s where id = %s", (text, other))
    cluster.worker(engine="gated")
    cluster.started(5)
    kill(cluster.workers[-1])
    swept_by_hand(cluster)
    assert "5 machines" in front.ended(other)["error"]


def swept_by_hand(cluster: Cluster) -> None:
    """As a worker would after the stall time, which is short here."""
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("update stemwatch_worker set stall = 0.1")

    async def once() -> int | None:
        database = Database(cluster.url, "here")
        await database.open()
        found = await sweep(database, 0.1, lambda _: None, beating=1.0)
        await database.close()
        return found

    wait_for(lambda: asyncio.run(once()), what="a job that is put back")


def up(cluster: Cluster) -> float:
    seconds: float = cluster.ask(
        "select extract(epoch from now() - pg_postmaster_start_time())::float8"
    )
    return seconds


def test_a_file_that_kills_its_engine_twice_fails(cluster: Cluster) -> None:
    """It is the file's fault: told as such, listed as dead, tried again when a person says so."""
    (cluster.steering / "mood").write_text("2")
    front, _ = at_once(cluster.front, lambda: cluster.worker(engine="moody"))
    with Receiver() as receiver:
        front.http.post("/webhooks", json={"url": receiver.url}).json()
        job = front.submit().json()["job_id"]
        ended = front.ended(job)
        assert (ended["status"], "died twice" in ended["error"]) == ("failed", True)
        record = cluster.record(job)
        assert (record["crashes"], record["lost"]) == (2, 0)
        assert job in cluster.run("queue", "dead").stdout
        (cluster.steering / "mood").write_text("0")
        wait_for(lambda: len(receiver.calls) == 1, what="the webhook")
        assert cluster.run("queue", "retry", job).stdout == f"{job} waits again.\n"
        assert front.ended(job)["status"] == "completed"
        wait_for(lambda: len(receiver.calls) == 2, what="the second end's webhook")
        ids = [call.headers["webhook-id"] for call in receiver.calls]
        assert len(set(ids)) == 2  # two ends are two deliveries
    again = cluster.run("queue", "retry", job, check=False)
    assert (again.returncode, "queue dead" in again.stderr) == (1, True)


def test_songs_whose_files_are_gone_hold_up_nobody(cluster: Cluster) -> None:
    """Somebody tidied up the folder: two such songs kept a seat busy for good.

    The first looks at a share that was away for an instant must not end a song.
    """
    front = cluster.front()
    *gone, away, there = (front.submit().json()["job_id"] for _ in range(4))
    for job in gone:
        rmtree(cluster.data / "jobs" / job)
        set_back = "update procrastinate_jobs set attempts = 3 where args->>'song' = %s returning 1"
        assert cluster.ask(set_back, job) == 1
    (cluster.data / "jobs" / away).rename(cluster.data / away)
    cluster.worker()
    assert front.ended(there)["status"] == "completed"
    tries = "select attempts from procrastinate_jobs where args->>'song' = %s"
    wait_for(lambda: cluster.ask(tries, away), what="a song that waits for its file")
    (cluster.data / away).rename(cluster.data / "jobs" / away)
    assert front.ended(away)["status"] == "completed"
    told = [front.ended(job)["error"] for job in gone]
    assert told == ["Its file is not there any more; send it again."] * 2
    assert cluster.ask("select count(*) from procrastinate_jobs") == 0


def test_one_key_at_two_front_ends_at_once_is_one_job(cluster: Cluster) -> None:
    """And takes its credit once."""
    fronts = at_once(*[lambda: cluster.front("--credits", "100")] * 2)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda at: fronts[at % 2].submit(key="same"), range(8)))
    assert sorted(one.status_code for one in made) == [200] * 7 + [202]
    assert len({one.json()["job_id"] for one in made}) == 1
    assert len(os.listdir(cluster.data / "jobs")) == 1
    base = fronts[0].url.replace("/v1", "/api/v1")
    assert fetched(f"{base}/balance").json()["balanceSeconds"] == 99
    assert cluster.ask("select count(*) from procrastinate_jobs") == 1


def test_one_owner_s_credit_is_not_spent_twice(cluster: Cluster) -> None:
    """Different songs at two front ends at once wait for each other: none sees an old balance."""
    fronts = at_once(*[lambda: cluster.front("--credits", "5")] * 2)
    for taken in (5, 1, 1, 1, 1):  # of six that race for so much
        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(lambda at: fronts[at % 2].submit().status_code, range(6)))
        assert sorted(made) == [202] * taken + [402] * (6 - taken)
        assert cluster.ask("select spent from stemwatch_owner") == 5
        with psycopg.connect(cluster.url, autocommit=True) as connection:
            connection.execute("update stemwatch_owner set spent = 4")
    turns = "select count(*) = count(distinct priority) from procrastinate_jobs"
    assert cluster.ask(turns)  # and none got another one's turn


def test_a_server_without_a_cluster_stays_out_of_its_folder(cluster: Cluster) -> None:
    """It would empty what the front ends receive; a cluster would remove its jobs as nobody's."""
    alone = [*COMMAND, "serve", "--port", "0", "--data-dir", str(cluster.data)]
    alone += ["--engine", "tests.support.server_engines:copy"]

    def refused(command: list[str]) -> str:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False, env=cluster.env
        )
        assert ran.returncode == 75, ran.stderr
        return ran.stderr

    front, worker = at_once(cluster.front, cluster.worker)  # they share it
    receiving = cluster.data / "incoming" / "somebody" / "job_0"
    receiving.mkdir(parents=True)
    assert f"works in {str(cluster.data)!r}" in refused(alone)
    front.kill()
    assert f"works in {str(cluster.data)!r}" in refused(alone)  # the worker is still there
    assert receiving.is_dir()
    kill(worker)
    with Server(cluster.data):
        given = ["--data-dir", str(cluster.data), "--queue-url-file", str(cluster.url_file)]
        for words in (["serve", "--port", "0"], ["worker", "--engine", "spectral"]):
            assert "in no cluster" in refused([*COMMAND, *words, *given])


def test_a_webhook_is_told_once(cluster: Cluster) -> None:
    """By whichever front end; a repeated call bears the same delivery id."""
    *fronts, _ = at_once(cluster.front, cluster.front, cluster.worker)
    with Receiver((500, 200)) as receiver:
        fronts[0].http.post("/webhooks", json={"url": receiver.url})
        job = fronts[1].submit().json()["job_id"]
        fronts[0].ended(job)
        wait_for(lambda: len(receiver.calls) == 2, what="the repeated call")
        wait_for(lambda: not cluster.ask("select count(*) from stemwatch_owed"), what="the note")
        assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
        more = [fronts[at % 2].submit().json()["job_id"] for at in range(6)]
        for one in more:
            fronts[0].ended(one)
        wait_for(lambda: len(receiver.calls) >= 8, what="the calls")
        wait_for(lambda: not cluster.ask("select count(*) from stemwatch_owed"), what="the notes")
    told = [json.loads(call.body)["job_id"] for call in receiver.calls]
    assert sorted(told) == sorted([job, job, *more])


def test_a_second_front_end_starts_during_an_upload(cluster: Cluster) -> None:
    """It once emptied the folder of what the first one was receiving."""
    front = cluster.front()
    begun, go_on = threading.Event(), threading.Event()
    head = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    fields = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("stems", "2"), ("format", "wav"))
    )

    def body() -> Iterator[bytes]:
        yield fields.encode() + head + SONG[:1000]
        begun.set()
        assert go_on.wait(30)
        yield SONG[1000:] + b"\r\n--x--\r\n"

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            httpx.post,
            f"{front.url}/separate",
            content=body(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
            timeout=30,
        )
        assert begun.wait(30)
        cluster.front()
        go_on.set()
        assert answer.result().status_code == 202


def test_uploads_at_once_do_not_fill_the_memory(cluster: Cluster) -> None:
    """A small run of the benchmark's: what is received goes to the disk as it comes."""
    before, most = uploads(cluster.front(), 24, 6_000_000)
    assert most - before < 36  # MB; together they are 144, and 68 was what it once took


def test_keys_are_apart(cluster: Cluster, tmp_path: Path) -> None:
    """Jobs, webhooks, credit and turns are each key's own; a new key needs no restart."""
    keys = tmp_path / "keys"
    lines = [f"{name} {sha256(name.encode()).hexdigest()}" for name in ("big", "small")]
    keys.write_text(f"# our customers\n{lines[0]}\n{lines[1]} credits=7\n")
    front = cluster.front("--keys-file", str(keys), key="big")
    as_small, as_third = {"Authorization": "Bearer small"}, {"Authorization": "Bearer third"}

    def small(stems: str = "2") -> httpx.Response:
        fields = {"stems": stems, "format": "wav"}
        return httpx.post(
            f"{front.url}/separate",
            files={"audio": ("a.wav", SONG)},
            data=fields,
            headers=as_small,
            timeout=30,
        )

    big = [front.submit(stems=stems).json()["job_id"] for stems in [*["2"] * 20, "4"]]
    little = [small(stems).json()["job_id"] for stems in ("4", "2", "2", "6", "2")]
    place = {
        one: fetched(f"{front.url}/jobs/{one}", **as_small).json()["queue_position"]
        for one in little
    }
    # Turn by turn, not behind twenty: a worker takes them as they come, whatever they ask for.
    assert list(place.values()) == [1, 3, 5, 7, 9]
    assert front.job(big[19])["queue_position"] == 24
    assert front.http.get(f"/jobs/{little[0]}").status_code == 404
    assert [small().status_code for _ in range(3)] == [202, 202, 402]
    assert fetched(f"{front.url}/jobs/{big[0]}").status_code == 401
    assert fetched(f"{front.url}/jobs/x", **as_third).status_code == 401
    with open(keys, "a") as file:
        file.write(f"third {sha256(b'third').hexdigest()}\n")
    assert fetched(f"{front.url}/jobs/x", **as_third).status_code == 404


def test_the_password_is_seen_nowhere(cluster: Cluster) -> None:
    """Not in `ps`, not in a child's environment, not in a log, not in a message."""
    front, worker = at_once(cluster.front, lambda: cluster.worker(engine="gated"))
    front.submit()
    cluster.started()
    everybody = [psutil.Process(front.process.pid), psutil.Process(worker.pid)]
    everybody += [child for one in list(everybody) for child in one.children(recursive=True)]
    assert len(everybody) == 4
    for one in everybody:
        assert PASSWORD not in " ".join([*one.cmdline(), *one.environ().values()])
    cluster.open_gate()
    for text in (
        cluster.url_file.with_name("fronts.log"),
        cluster.url_file.with_name("workers.log"),
    ):
        assert PASSWORD not in text.read_text()


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("", 78, "holds no URL"),
        ("mysql://a:SECRET@b/c", 78, "holds no URL"),
        ("postgresql://a:SECRET@127.0.0.1:1:2/c", 78, "holds no URL"),
        ("postgresql://a:SECRET@SECRET@127.0.0.1/c", 78, "holds no URL"),
        ("postgresql://a:SEC/SECRET@127.0.0.1/c", 78, "holds no URL"),
        ("postgresql://a:SECRET@127.0.0.1/c?nonsense=SECRET", 78, "can't be understood"),
        ("postgresql://a:SECRET@127.0.0.1:1/c", 1, "can't be used"),
        ("{wrong}", 78, "password authentication failed"),
        ("{nowhere}", 78, "does not exist"),
        ("{public}", 78, "chmod 600"),
        (None, 78, "No such file"),
    ],
)
def test_bad_starts_say_what_mends_them(
    tmp_path: Path, postgres: Postgres, content: str | None, code: int, words: str
) -> None:
    """One sentence that names the file; the URL is not shown."""
    file = tmp_path / "queue-url"
    if content is not None:
        file.touch(0o644 if content == "{public}" else 0o600)
        url = postgres.url(f"no-{tmp_path.name}" if content == "{nowhere}" else "postgres")
        content = url if content == "{nowhere}" else content
        file.write_text(url.replace(PASSWORD, "SECRET") if content == "{wrong}" else content)
    ran = subprocess.run(
        [*COMMAND, "queue", "status", "--queue-url-file", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, words in ran.stderr, str(file) in ran.stderr) == (code, True, True)
    assert "SECRET" not in ran.stderr
    assert PASSWORD not in ran.stderr
    assert "Traceback" not in ran.stderr
