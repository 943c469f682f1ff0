"""Puts back the jobs of workers that are gone: one sweeper at a time, and none before it is safe.

A worker is gone when it has not said that it lives for the stall time. After an outage of the
database that was longer, everybody looks gone. So nobody sweeps until the database has been up for
twice the stall time, and until the sweeper's own heartbeats have come through for once that time:
by then everybody who lives has said so. The stall time is that of the one who looks gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from stemwatch.server.cluster.database import Connection, Database, one
from stemwatch.server.cluster.pg_records import end
from stemwatch.server.cluster.tickets_of_jobs import requeue, strike
from stemwatch.server.work.record import dumps, loads

LOCK = 0x57E3_57A7  # of the one who sweeps
MAX_LOST = 5  # machines; a song that costs so many is not tried again

_LOST = """
select worker.id
  from procrastinate_workers worker left join stemwatch_worker entry using (id),
       lateral (select coalesce(entry.stall, %(stall)s) seconds) stall
 where worker.last_heartbeat < now() - make_interval(secs => stall.seconds)
   and pg_postmaster_start_time() < now() - make_interval(secs => 2 * stall.seconds)
   and stall.seconds <= %(beating)s
   for update of worker skip locked
"""
_GONE = """
select job.id, song.id, song.record
  from procrastinate_jobs job left join stemwatch_song song on song.job = job.id
 where job.status = 'doing' and job.queue_name like 'songs-%%'
   and (job.worker_id is null or job.worker_id = any(%s))
   for update of job skip locked
"""


async def sweep(
    database: Database, stall: float, report: Callable[[str], None], *, beating: float
) -> int | None:
    """Put the jobs back; returns how many, or None where it was not the time, or not our turn.

    `stall` in seconds; `beating`: seconds for which our own heartbeats have come through. `report`
    gets a line for each job.
    """
    if beating < stall:
        return None
    async with database.transaction() as connection:
        # Held over listing and putting back: of two sweepers that had seen the same job, the
        # second would take it from the worker that runs it by then.
        held = await one(connection, "select pg_try_advisory_xact_lock(%s)", LOCK)
        up = await one(
            connection, "select extract(epoch from now() - pg_postmaster_start_time())::float8"
        )
        assert held is not None
        assert up is not None
        if not held[0] or up[0] < 2 * stall:
            return None
        cursor = await connection.execute(_LOST, {"stall": stall, "beating": beating})
        gone = [row[0] for row in await cursor.fetchall()]
        cursor = await connection.execute(_GONE, (gone,))
        rows = await cursor.fetchall()
        for job, song, text in rows:
            report(await _lost(connection, job, song, text))
        await connection.execute("delete from procrastinate_workers where id = any(%s)", (gone,))
    return len(rows)


async def _lost(connection: Connection, job: int, song: str | None, text: Any) -> str:
    """Count the loss and put the job back; returns a line for the log."""
    if song is None:  # its end is recorded; the worker died before it had said so
        await strike(connection, job)
        return f"job {job} had ended"
    record = loads(text)
    record = record.evolve(lost=record.lost + 1)
    if record.lost >= MAX_LOST:
        message = f"{MAX_LOST} machines were gone while they separated it."
        await end(connection, record.evolve(state="failed", error=message, finished_at=time.time()))
        return f"{song} {record.name!r} failed: {message}"
    await connection.execute(
        "update stemwatch_song set record = %s, progress = 0 where id = %s", (dumps(record), song)
    )
    await requeue(connection, job)
    return f"{song} {record.name!r} is put back: its worker is gone"
