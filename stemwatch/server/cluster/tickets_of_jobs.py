"""The queue: procrastinate's jobs, each of which names a song. Every change is guarded.

procrastinate's own calls to finish and to retry a job compare neither its worker nor its attempts:
a worker that was taken as gone would finish, or put back, what another one runs now.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import procrastinate
from procrastinate import exceptions

from stemwatch.job import STEMS
from stemwatch.server.cluster.database import Connection, Database, one
from stemwatch.server.work.records import Unavailable

TASK = "separate"
CHANNEL = "procrastinate_any_queue_v1"  # told of each new job
OWED = "stemwatch_owed"  # told of each job's end


def queue_for(stems: int) -> str:
    """One queue for each number of stems: not every worker's engine makes them all."""
    return f"songs-{stems}"


class Tickets:
    """procrastinate on our own connections."""

    def __init__(self, database: Database) -> None:
        # Its log tells of each job by its arguments, and of faults that we handle.
        logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
        self._database = database
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector())

    async def open(self) -> None:
        await self._app.open_async(self._database.pool)

    async def put(self, connection: Connection, song: str, stems: int, turn: int) -> int:
        """Queue a song in the transaction of `connection`; returns the queue's job id.

        Raises Unavailable.
        """
        queue = queue_for(stems)
        task = self._app.configure_task(
            TASK, allow_unknown=True, queue=queue, priority=-turn, connection=connection
        )
        try:
            return await task.defer_async(song=song)
        except exceptions.ConnectorException as fault:
            raise _away(fault) from fault

    async def take(self, stems: Sequence[int], worker: int) -> tuple[int, str, int] | None:
        """The next job for `worker`, its song, and how often it was put back; None: none waits.

        Raises Unavailable.
        """
        queues = [queue_for(one) for one in stems]
        try:
            job = await self._app.job_manager.fetch_job(queues=queues, worker_id=worker)
        except exceptions.ConnectorException as fault:
            raise _away(fault) from fault
        if job is None or job.id is None:
            return None
        return job.id, str(job.task_kwargs["song"]), job.attempts


def _away(fault: exceptions.ConnectorException) -> Unavailable:
    cause = str(fault.__cause__ or fault).strip().splitlines()
    return Unavailable(f"The queue's database does not answer: {cause[0] if cause else 'no word'}")


async def beside(connection: Connection, stems: int) -> list[str]:
    """The queues from which each worker that makes so many stems takes, whichever turn is next.

    Where there is no such worker: all, as if one came that makes all.
    """
    cursor = await connection.execute("select told from stemwatch_worker")
    made = [set(json.loads(row[0])["stems"]) for row in await cursor.fetchall()]
    able = [one for one in made if stems in one] or [set(STEMS)]
    return [queue_for(one) for one in set.intersection(*able)]


async def serving(connection: Connection, stems: int) -> int:
    """The turn of who is next; where nobody waits, the one after all that were.

    A queue that is empty says nothing of that: its workers take other songs meanwhile, and a key
    that began behind all of them would stay behind.
    """
    every = [queue_for(one) for one in STEMS]
    for queues in (await beside(connection, stems), every):
        found = await one(
            connection,
            "select -priority from procrastinate_jobs"
            " where status = 'todo' and queue_name = any(%s) order by priority desc limit 1",
            queues,
        )
        if found is not None:
            return int(found[0])
    found = await one(connection, "select coalesce(max(turn), 0) + 1 from stemwatch_owner")
    assert found is not None
    return int(found[0])


async def put_back(connection: Connection, job: int, worker: int, wait: float = 0.0) -> bool:
    """Let a job that `worker` runs wait again, at its old turn; False where it is not his (any
    more). `wait`: seconds until somebody may take it.
    """
    held = await one(
        connection,
        "select 1 from procrastinate_jobs"
        " where id = %s and worker_id = %s and status = 'doing' for update",
        job,
        worker,
    )
    if held is not None:
        await requeue(connection, job, wait)
    return held is not None


async def requeue(connection: Connection, job: int, wait: float = 0.0) -> None:
    """Let a job wait again, whoever runs it: only for who holds its row."""
    await connection.execute(
        "select procrastinate_retry_job_v2("
        "%s, now() + make_interval(secs => %s), null, null, null)",
        (job, wait),
    )
    await connection.execute("update procrastinate_jobs set worker_id = null where id = %s", (job,))
    # procrastinate tells of new jobs only; its workers look for others every five seconds.
    await connection.execute("select pg_notify(%s, '{}')", (CHANNEL,))


async def strike(connection: Connection, job: int | None) -> None:
    """Take a job off the queue, in whatever state: its song has ended."""
    await connection.execute("delete from procrastinate_jobs where id = %s", (job,))
