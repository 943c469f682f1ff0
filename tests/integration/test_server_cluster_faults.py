"""What once went wrong in a cluster: its parts in this process, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from stemwatch.errors import ConfigFault, StemwatchError
from stemwatch.server.cluster import queue_desk
from stemwatch.server.cluster.database import Database, one
from stemwatch.server.cluster.pg_board import FRESH, PgBoard
from stemwatch.server.cluster.pg_records import PgRecords
from stemwatch.server.cluster.pg_webhooks import OF_KEY, OF_ONE, PgSubscriptions, Teller
from stemwatch.server.cluster.shared_folder import is_shared, same_folder
from stemwatch.server.cluster.sweeper import sweep
from stemwatch.server.cluster.tickets_of_jobs import Tickets, beside
from stemwatch.server.work.cleanup import Cleanup
from stemwatch.server.work.job_files import Files
from stemwatch.server.work.record import Record, dumps
from stemwatch.server.work.records import Unavailable
from tests.support.cluster import COMMAND, SONG, Cluster
from tests.support.postgres import PASSWORD, Postgres, needs_postgres
from tests.support.server import environment
from tests.support.waiting import NO_TLS, wait_for

pytestmark = [needs_postgres, pytest.mark.xdist_group("cluster faults")]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture
def url(tmp_path: Path, postgres: Postgres) -> str:
    made = postgres.create(tmp_path.name)
    queue_desk.on(made, "the test", queue_desk.make_tables, tables=False)
    return made


class Parts:
    """What a front end and a worker are made of, in this process."""

    def __init__(self, url: str, data: Path) -> None:
        self.database = Database(url, "the test")
        self.tickets = Tickets(self.database)
        self.files = Files(str(data), "me")
        self.files.open()
        self.records = PgRecords(self.database, self.tickets, self.files)

    def song(self, **changes: object) -> Record:
        """A record that is not added yet, and its file among the incoming."""
        job_id, folder = self.files.begin()
        Path(folder, "input.wav").write_bytes(b"audio")
        values = {"name": "a.wav", "input": "input.wav", "stems": 2, "format": "wav"}
        values |= {"engine": "copy", "created_at": 1.0, **changes}  # type: ignore[dict-item]
        return Record(id=job_id, **values)  # type: ignore[arg-type]

    async def run(self, query: str, *values: object) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(query, values)  # type: ignore[arg-type]


@asynccontextmanager
async def opened(url: str, data: Path) -> AsyncIterator[Parts]:
    parts = Parts(url, data)
    await parts.database.open()
    await parts.tickets.open()
    try:
        yield parts
    finally:
        await parts.database.close()


def test_only_who_has_a_job_fails_it(url: str, tmp_path: Path) -> None:
    """A worker that was taken as gone comes back; its failure must not undo another's attempt."""

    async def main() -> None:
        async with opened(url, tmp_path) as parts:
            song = await parts.records.add(parts.song())
            ids = []
            for _ in range(2):
                async with parts.database.transaction() as connection:
                    row = await connection.execute(
                        "select worker_id from procrastinate_register_worker_v1()"
                    )
                    ids.append((await row.fetchone() or [0])[0])
            assert await parts.tickets.take([2], ids[1]) is not None
            stale, owner = (
                PgRecords(parts.database, parts.tickets, parts.files, worker=lambda one=one: one)  # type: ignore[misc]
                for one in ids
            )
            failed = song.evolve(state="failed", error="mine alone", finished_at=time.time())
            assert not await stale.fail(failed)
            await stale.save(song.evolve(crashes=1))
            assert await parts.records.get(song.id) == song
            await owner.save(song.evolve(crashes=1))
            assert await parts.records.get(song.id) == song.evolve(crashes=1)
            assert await owner.fail(failed)

    asyncio.run(main())


def test_each_worker_is_gone_by_its_own_stall_time(url: str, tmp_path: Path) -> None:
    """Of two with different ones, the hasty one once took the songs of the other."""

    async def main() -> int | None:
        async with opened(url, tmp_path) as parts:
            await parts.records.add(parts.song())
            await parts.run("insert into procrastinate_workers default values")
            await parts.run(
                "insert into stemwatch_worker select id, 'slow', 600, '{}'"
                " from procrastinate_workers"
            )
            await parts.run(
                "update procrastinate_workers set last_heartbeat = now() - interval '30 s'"
            )
            await parts.run(
                "update procrastinate_jobs set status = 'doing',"
                " worker_id = (select id from procrastinate_workers)"
            )
            return await sweep(parts.database, 0.1, print, beating=1000.0)

    assert asyncio.run(main()) == 0


def test_another_application_s_jobs_are_left_alone(url: str, tmp_path: Path) -> None:
    """One that keeps its queue in this database as well: its running jobs were deleted."""

    async def main() -> tuple[int | None, int]:
        async with opened(url, tmp_path) as parts:
            await parts.run(
                "select procrastinate_defer_jobs_v1(array[row('mail', 'send', 0, null, null,"
                " '{}'::jsonb, null)::procrastinate_job_to_defer_v1])"
            )
            await parts.run("update procrastinate_jobs set status = 'doing'")
            swept = await sweep(parts.database, 0.1, print, beating=1000.0)
            async with parts.database.transaction() as connection:
                left = await one(connection, "select count(*) from procrastinate_jobs")
            return swept, left[0] if left else 0

    assert asyncio.run(main()) == (0, 1)


def test_a_job_that_was_not_queued_leaves_its_file(tmp_path: Path) -> None:
    """Nothing was committed: with the file, the client need not send it again."""

    async def main() -> None:
        parts = Parts("postgresql://a:b@127.0.0.1:1/c", tmp_path)
        await parts.database.pool.open()
        parts.database.pool.timeout = 0.1
        song = parts.song()
        with pytest.raises(Unavailable):
            await parts.records.add(song)
        assert os.listdir(parts.files.incoming(song.id)) == ["input.wav"]
        assert os.listdir(parts.files.jobs) == []
        await parts.database.close()

    asyncio.run(main())


def test_a_database_that_goes_amid_a_submission_is_told_as_away(url: str, tmp_path: Path) -> None:
    """procrastinate has an exception of its own for it; it was answered with 500."""

    async def main() -> None:
        async with opened(url, tmp_path) as parts:
            with pytest.raises(Unavailable):
                async with parts.database.transaction() as connection:
                    pid = connection.info.backend_pid
                    await parts.run("select pg_terminate_backend(%s, 5000)", pid)
                    await parts.tickets.put(connection, "job_1", 2, 1)

    asyncio.run(main())


def test_an_outage_is_found_out_once_by_many_questions(tmp_path: Path) -> None:
    """Else a proxy's health checks wait one after another, longer with each."""

    async def main() -> None:
        parts = Parts("postgresql://a:b@127.0.0.1:1/c", tmp_path)
        await parts.database.pool.open()
        parts.database.pool.timeout = 0.3
        board, began = PgBoard(parts.database), time.monotonic()
        told = await asyncio.gather(*(board.load() for _ in range(10)), return_exceptions=True)
        took = time.monotonic() - began
        assert [type(one) for one in told] == [Unavailable] * 10
        # A slow machine may take longer than the news is good for.
        assert parts.database.pool.get_stats()["requests_errors"] <= 1 + took // FRESH
        await parts.database.close()

    asyncio.run(main())


def test_a_full_disk_makes_room_behind_a_thousand_that_have_none(url: str, tmp_path: Path) -> None:
    """Jobs that have expired free nothing; the oldest thousand were all that was looked at."""

    async def main() -> None:
        async with opened(url, tmp_path) as parts:
            song = await parts.records.add(parts.song())
            work = parts.files.work_folder(song)
            Path(work, "v.wav").write_bytes(b"stem")
            done = song.evolve(
                state="completed", files={"vocals": "v.wav"}, finished_at=time.time() - 5000
            )
            assert await parts.records.complete(done, work)
            await parts.run(
                "insert into stemwatch_song (id, owner, state, credits, created_at, finished_at,"
                " record) select 'x' || at, '', 'expired', 0, 1, %s, %s"
                " from generate_series(1, 1001) at",
                time.time() - 9000,
                dumps(song.evolve(state="expired", finished_at=time.time() - 9000)),
            )
            cleanup = Cleanup(parts.files, parts.records, 86_400, 1 << 60, print)
            assert not await cleanup.has_room(0)
            assert await parts.records.get(song.id) is None

    asyncio.run(main())


IDLE = "set idle_in_transaction_session_timeout = "  # and so many ms


def test_a_round_of_cleaning_may_take_its_time(tmp_path: Path, postgres: Postgres) -> None:
    """Longer than the database lets a transaction stand idle: it ended the front end."""
    with Cluster(tmp_path, postgres) as cluster:
        name = cluster.url.rpartition("/")[2]
        old = Record(id="old", name="a", input="input", stems=2, format="wav", engine="copy",
                     created_at=1.0, state="expired", finished_at=2.0)  # fmt: skip
        cluster.ask("insert into stemwatch_owner (name) values ('') returning name")
        cluster.ask(
            "insert into stemwatch_song (id, owner, state, credits, created_at, finished_at,"
            " record) values ('old', '', 'expired', 0, 1, 2, %s) returning id",
            dumps(old),
        )
        with psycopg.connect(cluster.url) as slow:
            # For connections that are still to come
            slow.execute(f'alter database "{name}" {IDLE} 1000')
            slow.commit()
            slow.execute("lock table stemwatch_song in access exclusive mode")
            front = cluster.front()
            waits = (
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                " and query like '%%finished_at <%%' and query_start < now() - interval '1.5 s'"
            )
            with psycopg.connect(cluster.url, autocommit=True) as looking:
                wait_for(lambda: (looking.execute(waits).fetchone() or [0])[0], what="a long round")
        gone = "select count(*) from stemwatch_song where id = 'old'"
        wait_for(lambda: cluster.ask(gone) == 0, what="the end of the round")
        assert front.http.get("/health").status_code == 200
        assert "old results stay" not in (tmp_path / "fronts.log").read_text()


def test_a_transaction_that_the_database_ends_is_told_as_away(url: str, tmp_path: Path) -> None:
    """As after a standstill of this process amid one: it is no fault of ours to end by."""

    async def main() -> None:
        async with opened(url, tmp_path) as parts, await parts.database.connect() as other:
            alive = "select count(*) from pg_stat_activity where pid = %s"
            with pytest.raises(Unavailable, match="idle"):
                async with parts.database.transaction() as connection:
                    await connection.execute(f"{IDLE} 100")
                    pid = connection.info.backend_pid
                    while (await one(other, alive, pid) or [0])[0]:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
            async with parts.database.transaction() as connection:
                await connection.execute("select 1")

    asyncio.run(main())


def test_a_call_does_not_forget_the_next_end_s_webhook(url: str, tmp_path: Path) -> None:
    """While a receiver thinks, `queue retry` brings a second end: it is owed like the first."""

    async def told() -> int:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            begun.set()
            await go_on.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with opened(url, tmp_path) as parts:
            song = parts.song(webhook_url=f"http://127.0.0.1:{port}/")
            song = await parts.records.add(song)
            failed = song.evolve(state="failed", error="no", finished_at=time.time())
            assert await parts.records.fail(failed)
            teller = Teller(
                parts.database,
                payloads={"separate": lambda record: {"job_id": record.id}},
                secret="hush",  # noqa: S106
                report=print,
                broken=print,
            )
            call = asyncio.create_task(teller._tell_one())
            await begun.wait()
            await queue_desk.try_again(parts.database, song.id)
            assert await parts.records.fail(failed.evolve(finished_at=time.time()))
            go_on.set()
            assert await call
            async with parts.database.transaction() as connection:
                cursor = await connection.execute("select count(*) from stemwatch_owed")
                row = await cursor.fetchone()
            await teller.stop()
            server.close()
        return 0 if row is None else int(row[0])

    assert asyncio.run(told()) == 1


def test_receivers_that_are_silent_hold_up_no_other_key(url: str, tmp_path: Path) -> None:
    """They had all the lanes, for ten seconds each time; others were told minutes later."""
    silent: list[tuple[bytes, asyncio.StreamWriter]] = []
    told = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append((await reader.readline(), writer))

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        told.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def main() -> None:
        async with opened(url, tmp_path) as parts:
            hooks = PgSubscriptions(parts.database, secret=False)
            servers = []
            made = (("ann", say_nothing, 20, 4), ("bob", take, 1, 1))
            for owner, answer, songs, hooked in made:
                server = await asyncio.start_server(answer, "127.0.0.1", 0)
                servers.append(server)
                port = server.sockets[0].getsockname()[1]
                for number in range(hooked):
                    await hooks.subscribe(owner, "separate", f"http://127.0.0.1:{port}/{number}")
                for _ in range(songs):
                    song = await parts.records.add(parts.song(owner=owner))
                    failed = song.evolve(state="failed", error="no", finished_at=time.time())
                    assert await parts.records.fail(failed)
            teller = Teller(
                parts.database,
                payloads={"separate": lambda record: {"job_id": record.id}},
                secret=None,
                report=print,
                broken=print,
            )
            teller.start()
            async with asyncio.timeout(20):
                await told.wait()
            calls = Counter(line for line, _ in silent)
            assert calls.total() <= OF_KEY
            assert all(number <= OF_ONE for number in calls.values())
            await teller.stop()
            for server in servers:
                server.close()
            for _, writer in silent:
                writer.close()

    asyncio.run(main())


def test_two_front_ends_are_as_one(tmp_path: Path, postgres: Postgres) -> None:
    """Of requests that are the same, at once; and of names that no database can hold."""
    with Cluster(tmp_path, postgres) as cluster, ThreadPoolExecutor(8) as pool:
        fronts = [cluster.front(), cluster.front()]
        assert fronts[0].http.get("/jobs/%00").status_code == 404
        bases = [one.url.replace("/v1", "/api/v1") for one in fronts]
        with httpx.Client(timeout=30, verify=NO_TLS) as http:
            named = http.post(f"{bases[0]}/jobs", json={"uploadKey": "a\0"})
            assert (named.status_code, named.json()["error"]["code"]) == (400, "UPLOAD_NOT_FOUND")
            for _ in range(4):
                ticket = http.post(f"{bases[0]}/upload", json={"filename": "a.wav"}).json()
                headers = {"Content-Type": ticket["contentType"]}
                http.put(ticket["uploadUrl"], content=SONG, headers=headers).raise_for_status()
                wanted = {"uploadKey": ticket["uploadKey"]}
                calls = [pool.submit(http.post, f"{base}/jobs", json=wanted) for base in 2 * bases]
                made = [call.result() for call in calls]
                assert [one.status_code for one in made] == [201] * 4
                assert len({one.json()["id"] for one in made}) == 1
            hooks = pool.map(
                lambda at: fronts[at % 2].http.post("/webhooks", json={"url": "https://a.b/c"}),
                range(8),
            )
            assert len({one.json()["id"] for one in hooks}) == 1


def test_a_database_without_an_encoding_serves(postgres: Postgres, tmp_path: Path) -> None:
    """As Debian makes one where no locale is set: its texts came as bytes."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(
            "create database plain encoding 'SQL_ASCII' template template0"
            " lc_collate 'C' lc_ctype 'C'"
        )
    url = postgres.url("plain")
    queue_desk.on(url, "the test", queue_desk.make_tables, tables=False)

    async def main() -> None:
        async with opened(url, tmp_path) as parts:
            for _ in range(2):
                await same_folder(parts.database, parts.files)
            song = await parts.records.add(parts.song(idempotency_key="\xe9"))
            assert await parts.records.by_key("\xe9") == song

    asyncio.run(main())


def test_a_refusal_of_the_database_says_what_mends_it(
    url: str, postgres: Postgres, tmp_path: Path
) -> None:
    """Not a traceback: an account without rights, a database that only reads."""
    poor = postgres.url(tmp_path.name).replace("stemwatch:", "poor:")
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"create role poor login password '{PASSWORD}'")
    with pytest.raises(StemwatchError, match="give its account the right"):
        queue_desk.on(poor, "the file", queue_desk.make_tables, tables=False)
    with pytest.raises(StemwatchError, match="the file refuses: permission denied for table"):
        queue_desk.on(poor, "the file", queue_desk.look)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter role poor superuser")
        connection.execute("alter role poor set default_transaction_read_only = on")
    with pytest.raises(StemwatchError, match="it only reads"):
        queue_desk.on(poor, "the file", queue_desk.make_tables, tables=False)


def test_a_front_end_in_a_wrong_folder_ends(url: str, tmp_path: Path) -> None:
    """It once stood there for good, with its pool of connections open."""
    file = tmp_path / "queue-url"
    file.touch(0o600)
    file.write_text(url)
    data = tmp_path / "data"
    (data / "secret").mkdir(parents=True)  # as little to be read as another user's
    for words in (["serve", "--port", "0"], ["worker"]):
        ran = subprocess.run(
            [*COMMAND, *words, "--queue-url-file", str(file), "--data-dir", str(data)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment(tmp_path),
        )
        assert (ran.returncode, "data" in ran.stderr) == (78, True), ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_wrong_first_folder_is_forgotten(url: str, tmp_path: Path) -> None:
    """Who started first was the one in the wrong place: a command mends it, not SQL."""

    async def start(folder: str) -> None:
        async with opened(url, tmp_path / folder) as parts:
            await same_folder(parts.database, parts.files)

    asyncio.run(start("wrong"))
    with pytest.raises(ConfigFault, match="queue init --new-folder"):
        asyncio.run(start("right"))
    queue_desk.on(url, "here", lambda one: queue_desk.make_tables(one, new_folder=True))
    asyncio.run(start("right"))


def test_a_folder_that_is_not_mounted_is_known_from_an_empty_one(url: str, tmp_path: Path) -> None:
    """No song is given up for a share that is away, though a start in its place left a secret."""

    async def main() -> None:
        async with opened(url, tmp_path) as parts:
            await same_folder(parts.database, parts.files)
            secret = tmp_path / "secret"
            assert await is_shared(parts.database, parts.files)
            secret.rename(tmp_path / "mounted")
            assert not await is_shared(parts.database, parts.files)
            with pytest.raises(ConfigFault):
                await same_folder(parts.database, parts.files)
            assert secret.exists()
            assert not await is_shared(parts.database, parts.files)
            (tmp_path / "mounted").rename(secret)
            assert await is_shared(parts.database, parts.files)

    asyncio.run(main())


def test_only_queues_with_the_same_workers_say_whose_turn_it_is(url: str, tmp_path: Path) -> None:
    """A queue that waits for a worker of its own would let new keys pass all others elsewhere."""

    async def main() -> None:
        async with opened(url, tmp_path) as parts, await parts.database.connect() as connection:
            assert set(await beside(connection, 2)) == {"songs-2", "songs-4", "songs-6"}
            for stems in ([2, 4], [2, 4, 6]):
                await parts.run(
                    "with made as (insert into procrastinate_workers default values returning id)"
                    " insert into stemwatch_worker select id, 'one', 60, %s from made",
                    json.dumps({"stems": stems}),
                )
            assert set(await beside(connection, 4)) == {"songs-2", "songs-4"}
            assert set(await beside(connection, 6)) == {"songs-2", "songs-4", "songs-6"}

    asyncio.run(main())
