"""Shows what waits and runs in the cluster, and what its workers make."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping
from typing import Any

from stemwatch.server.cluster.database import Connection, Database, one
from stemwatch.server.cluster.tickets_of_jobs import beside
from stemwatch.server.work.record import Record, loads
from stemwatch.server.work.records import Load, Standing, Unavailable

FRESH = 1.0  # seconds that a look at the whole queue is good for
FARTHEST = 10_000  # a place in the queue that is farther off is not counted

_COUNTS = """
select count(*) filter (where status = 'todo'), count(*) filter (where status = 'doing')
  from procrastinate_jobs where queue_name like 'songs-%%'
"""
_OLDEST = """
select extract(epoch from now())::float8 - song.created_at
  from (select id from procrastinate_jobs
         where status = 'todo' and queue_name like 'songs-%%' order by id limit 1) first
  join stemwatch_song song on song.job = first.id
"""
_WORKERS = """
select worker.name, worker.told
  from stemwatch_worker worker join procrastinate_workers entry using (id)
 where entry.last_heartbeat > now() - make_interval(secs => worker.stall) order by worker.id
"""
_STANDING = """
select song.progress, job.status, job.priority, job.id
  from stemwatch_song song join procrastinate_jobs job on job.id = song.job where song.id = %s
"""
_BEFORE = """
select count(*) from (
    select 1 from procrastinate_jobs
     where status = 'todo' and queue_name = any(%s)
       and (priority > %s or (priority = %s and id < %s))
     limit %s) before
"""
_STATES = {
    None: "true",
    "waiting": "song.state = 'processing' and job.status is distinct from 'doing'",
    "running": "song.state = 'processing' and job.status = 'doing'",
    "completed": "song.state = 'completed'",
    "failed": "song.state = 'failed'",
    "expired": "song.state = 'expired'",
}


class PgBoard:
    """Also the `Menu` of a front end: what its workers can make."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._load = Load(0, 0, None, 0, ())
        self._away: str | None = None
        self._looked = -math.inf
        self._looking = asyncio.Lock()

    async def load(self) -> Load:
        """At most `FRESH` seconds old, and so is the news that the database is away.

        Else each of a proxy's questions would wait for all before it to find that out.
        """
        async with self._looking:
            if time.monotonic() - self._looked >= FRESH:
                self._away = None
                try:
                    async with self._database.transaction() as connection:
                        self._load = await load(connection)
                except Unavailable as fault:
                    self._away = str(fault)
                self._looked = time.monotonic()
            if self._away is not None:
                raise Unavailable(self._away)
        return self._load

    async def watch(self) -> None:
        """Keep the menu fresh, until cancelled."""
        while True:
            try:
                await self.load()
            except Unavailable:
                pass
            await asyncio.sleep(5 * FRESH)

    async def standing(self, record: Record) -> Standing:
        if record.state != "processing":
            return Standing()
        async with self._database.transaction() as connection:
            return await _standing(connection, record)

    async def page(
        self, owner: str, status: str | None, limit: int, offset: int
    ) -> tuple[list[tuple[Record, Standing]], int]:
        where = (
            "from stemwatch_song song left join procrastinate_jobs job on job.id = song.job"
            f" where song.owner = %s and {_STATES[status]}"
        )
        async with self._database.transaction() as connection:
            total = await one(connection, f"select count(*) {where}", owner)
            cursor = await connection.execute(
                f"select song.record, song.progress, job.status::text {where}"
                " order by song.created_at desc, song.id desc limit %s offset %s",
                (owner, limit, offset),
            )
            rows = await cursor.fetchall()
        assert total is not None
        return [(loads(row[0]), _shown(loads(row[0]), *row[1:])) for row in rows], total[0]

    def put(self, record: Record) -> None:
        """Nothing: the submission has queued it."""

    def refusal(self, stems: int) -> str | None:
        made = [one["stems"] for one in self._load.workers]
        if not made or any(stems in one for one in made):  # without workers: some may come
            return None
        able = " or ".join(map(str, sorted({number for one in made for number in one})))
        return (
            f"The workers of this server make {able} stems, not {stems}. Ask for those, or start a "
            "worker with another engine: `stemwatch worker --engine ...`."
        )

    def made_by(self, stems: int) -> dict[str, Any]:
        """As the first worker that can would make it."""
        able = [one for one in self._load.workers if stems in one["stems"]]
        engine = able[0]["engine"] if able else "none yet"
        return {"engine": engine, "model": None, "model_sha256": None}

    def told(self) -> dict[str, object]:
        """For `/v1/health`: what all workers are is told by each one's entry."""
        stems = {number for one in self._load.workers for number in one["stems"]}
        engines = sorted({str(one["engine"]) for one in self._load.workers})
        return {"engine": ", ".join(engines) or None, "stems": sorted(stems)}


async def load(connection: Connection) -> Load:
    """How much there is to do, and who works."""
    counts = await one(connection, _COUNTS)
    oldest = await one(connection, _OLDEST)
    cursor = await connection.execute(_WORKERS)
    workers: list[Mapping[str, Any]] = [
        {"name": name, **json.loads(told)} for name, told in await cursor.fetchall()
    ]
    assert counts is not None
    return Load(
        waiting=counts[0],
        running=counts[1],
        oldest=None if oldest is None else round(max(0.0, oldest[0]), 3),
        seats=sum(one["jobs"] for one in workers),
        workers=workers,
    )


async def _standing(connection: Connection, record: Record) -> Standing:
    row = await one(connection, _STANDING, record.id)
    if row is None:
        return Standing()
    progress, status, priority, number = row
    if status == "doing":
        return Standing(progress=progress)
    queues = await beside(connection, record.stems)
    before = await one(connection, _BEFORE, queues, priority, priority, number, FARTHEST)
    assert before is not None
    return Standing(True, 0.0, before[0])


def _shown(record: Record, progress: float, status: str | None) -> Standing:
    if record.state != "processing":
        return Standing()
    return Standing(progress=progress) if status == "doing" else Standing(waiting=True)
