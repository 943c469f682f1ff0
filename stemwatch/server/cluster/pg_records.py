"""The records of a cluster: one row for each song, changed together with the queue and the owed."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from stemwatch.server.cluster.database import Connection, Database, one
from stemwatch.server.cluster.tickets_of_jobs import OWED, Tickets, serving, strike
from stemwatch.server.webhooks.owing import owed_to
from stemwatch.server.work.job_files import NOTE, Files
from stemwatch.server.work.record import Record, dumps, loads
from stemwatch.server.work.records import NotEnough, Unavailable
from stemwatch.server.work.turns_of_keys import turn
from stemwatch.tasks import to_its_end

T = TypeVar("T")
AT_ONCE = 1000  # rows
AGAIN = 1.0  # seconds between two tries of who is patient


class _Known(Exception):
    def __init__(self, record: Record) -> None:
        super().__init__(record.id)
        self.record = record


class PgRecords:
    """`patient`: a change is tried until the database answers; else Unavailable is raised.

    A worker is patient, since an hour's work waits for its record. `report` gets a line for each
    outage that it sits out. `worker` gives the id of its entry: what it thinks of a job that
    another one has by now is not recorded, unless it is the result.
    """

    def __init__(
        self,
        database: Database,
        tickets: Tickets,
        files: Files,
        *,
        patient: bool = False,
        report: Callable[[str], None] = lambda _: None,
        worker: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._database = database
        self._tickets = tickets
        self._files = files
        self._patient = patient
        self._report = report
        self._worker = worker

    async def get(self, job_id: str) -> Record | None:
        return await self._read("select record from stemwatch_song where id = %s", job_id)

    async def by_key(self, key: str | None, owner: str = "") -> Record | None:
        if key is None:
            return None
        return await self._read(
            "select record from stemwatch_song where owner = %s and key = %s", owner, key
        )

    async def add(self, record: Record, allowance: int | None = None) -> Record:
        known = await self.by_key(record.idempotency_key, record.owner)
        if known is not None:
            return known
        committing = False
        try:
            # The files first: a worker may take the job the moment that it exists.
            await to_its_end(self._files.admit, record.id)
            async with self._database.transaction() as connection:
                await self._insert(connection, record, allowance)
                committing = True
        except _Known as fault:
            return fault.record
        finally:
            # A commit that fails may have been done all the same, and the job with it. So then
            # the folder stays; where nobody knows it, it is removed after a while.
            if not committing:
                await to_its_end(self._files.withdraw, record.id)
        return record

    async def save(self, record: Record) -> None:
        async def change(connection: Connection) -> None:
            await connection.execute(
                "update stemwatch_song set record = %s where id = %s and state = 'processing'"
                " and (%s::bigint is null or exists (select 1 from procrastinate_jobs queued"
                " where queued.id = job and queued.worker_id = %s::bigint))",
                (dumps(record), record.id, self._worker(), self._worker()),
            )

        await self._changed(change)

    async def complete(self, record: Record, work: str) -> bool:
        note = dumps(record)
        first = await asyncio.to_thread(self._files.publish, record, work, note)
        if first:
            return await self._completed(record)
        return await self.recover(record)

    async def recover(self, record: Record) -> bool:
        """Record the end whose stems lie there already: their attempt may have died before it."""
        note = await asyncio.to_thread(self._files.note, record.id)
        return note is not None and await self._completed(loads(note))

    async def fail(self, record: Record) -> bool:
        # The input stays, for `stemwatch queue retry`; it goes with the job.
        return await self._changed(lambda connection: end(connection, record, self._worker()))

    async def ended_before(self, moment: float) -> list[Record]:
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "select record from stemwatch_song where finished_at < %s and (state = 'completed'"
                # Those that free something first: the rest has to wait.
                " or finished_at < %s) order by state <> 'completed', finished_at limit %s",
                (moment, moment - (time.time() - moment), AT_ONCE),
            )
            return [loads(row[0]) for row in await cursor.fetchall()]

    async def expire(self, record: Record) -> None:
        await asyncio.to_thread(self._files.forget_stems, record.id)
        left = record.evolve(state="expired", files={}, idempotency_key=None)
        async with self._database.transaction() as connection:
            await connection.execute(
                "update stemwatch_song set state = 'expired', key = null, record = %s"
                " where id = %s and state = 'completed'",
                (dumps(left), record.id),
            )

    async def remove(self, record: Record) -> None:
        async with self._database.transaction() as connection:
            gone = await one(
                connection,
                "delete from stemwatch_song where id = %s and state <> 'processing'"
                " returning owner, credits",
                record.id,
            )
            if gone is None:
                return
            # Before the commit: where the folder can't be moved, the job stays. And before the
            # owner's row is locked: a slow disk holds up none of his submissions.
            await asyncio.to_thread(self._files.set_aside, record.id)
            await connection.execute(
                "update stemwatch_owner set spent = spent - %s where name = %s", (gone[1], gone[0])
            )
        await asyncio.to_thread(self._files.discard, record.id)

    async def spent(self, owner: str) -> int:
        async with self._database.transaction() as connection:
            found = await one(
                connection, "select spent from stemwatch_owner where name = %s", owner
            )
        return 0 if found is None else int(found[0])

    async def unknown(self, job_ids: list[str]) -> list[str]:
        """Those of them that no row is about."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "select id from stemwatch_song where id = any(%s)", (job_ids,)
            )
            known = {row[0] for row in await cursor.fetchall()}
        return [one for one in job_ids if one not in known]

    async def _insert(self, connection: Connection, record: Record, allowance: int | None) -> None:
        """The record, its key, its credit and its place in the queue: all of them or none."""
        await connection.execute(
            "insert into stemwatch_owner (name) values (%s) on conflict do nothing",
            (record.owner,),
        )
        # Submissions of one owner go one after another from here, on whichever front end.
        row = await one(
            connection,
            "select spent, turn from stemwatch_owner where name = %s for update",
            record.owner,
        )
        assert row is not None
        if record.idempotency_key is not None:
            known = await one(
                connection,
                "select record from stemwatch_song where owner = %s and key = %s",
                record.owner,
                record.idempotency_key,
            )
            if known is not None:
                raise _Known(loads(known[0]))
        left = None if allowance is None else max(0, allowance - row[0])
        if left is not None and record.credits > left:
            raise NotEnough(left)
        mine = turn(row[1], await serving(connection, record.stems))
        job = await self._tickets.put(connection, record.id, record.stems, mine)
        await connection.execute(
            "insert into stemwatch_song (id, owner, key, job, state, credits, created_at, record)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                record.id,
                record.owner,
                record.idempotency_key,
                job,
                record.state,
                record.credits,
                record.created_at,
                dumps(record),
            ),
        )
        await connection.execute(
            "update stemwatch_owner set spent = spent + %s, turn = %s where name = %s",
            (record.credits, mine, record.owner),
        )

    async def _completed(self, record: Record) -> bool:
        ended = await self._changed(lambda connection: end(connection, record))
        if ended:
            await asyncio.to_thread(self._files.forget_input, record)
        return ended

    async def _read(self, query: str, *values: str) -> Record | None:
        if not "".join(values).isprintable():  # a client's, such as NUL, which no row can hold
            return None

        async def read(connection: Connection) -> Record | None:
            row = await one(connection, query, *values)
            return None if row is None else loads(row[0])

        return await self._changed(read)

    async def _changed(self, change: Callable[[Connection], Awaitable[T]]) -> T:
        told = False
        while True:
            try:
                async with self._database.transaction() as connection:
                    return await change(connection)
            except Unavailable as fault:
                if not self._patient:
                    raise
                if not told:
                    self._report(f"{fault} Waiting for it.")
                told = True
            await asyncio.sleep(AGAIN)


async def end(connection: Connection, record: Record, worker: int | None = None) -> bool:
    """Record a job's end, with the webhooks owed, and take it off the queue; the first one wins.

    `worker`: only if this one has the job.
    """
    # The queue's row before the song's, as a sweeper does: else the two could block each other.
    queued = await one(
        connection,
        "select worker_id from procrastinate_jobs"
        " where id = (select job from stemwatch_song where id = %s) for update",
        record.id,
    )
    if worker is not None and queued != (worker,):
        return False
    row = await one(
        connection,
        "select job from stemwatch_song where id = %s and state = 'processing' for update",
        record.id,
    )
    if row is None:
        return False
    await connection.execute(
        "update stemwatch_song set state = %s, finished_at = %s, record = %s, job = null"
        " where id = %s",
        (record.state, record.finished_at, dumps(record), record.id),
    )
    cursor = await connection.execute(
        "select registration from stemwatch_webhook where owner = %s", (record.owner,)
    )
    targets = owed_to(record, [json.loads(row[0]) for row in await cursor.fetchall()])
    for target in targets:
        await connection.execute(
            "insert into stemwatch_owed (song, target) values (%s, %s)"
            " on conflict (song, target) do update set calls = 0, due_at = now()",
            (record.id, target),
        )
    await strike(connection, row[0])
    if targets:
        await connection.execute("select pg_notify(%s, '')", (OWED,))
    return True


def orphans(files: Files, age: float) -> list[str]:
    """Folders among the jobs that nothing has changed for `age` seconds.

    Not those of a server that worked here without a cluster: their records lie in them.
    """
    oldest = time.time() - age
    with os.scandir(files.jobs) as entries:
        old = [one for one in entries if one.stat().st_mtime < oldest]
    return [one.name for one in old if not os.path.exists(os.path.join(one.path, NOTE))]
