"""What a person does with the cluster's queue: makes its tables, looks, tries a song again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, TypeVar

from procrastinate.schema import SchemaManager

from stemwatch.codes import Code
from stemwatch.errors import StemwatchError
from stemwatch.server.cluster.database import Connection, Database, one
from stemwatch.server.cluster.pg_board import load
from stemwatch.server.cluster.tickets_of_jobs import Tickets, serving
from stemwatch.server.work.job_files import JOB_ID
from stemwatch.server.work.record import Record, dumps, loads
from stemwatch.server.work.records import Load, Unavailable
from stemwatch.server.work.turns_of_keys import turn

T = TypeVar("T")
LOCK = 0x57E3_0001  # of the one who makes the tables


def on(url: str, place: str, do: Callable[[Database], Awaitable[T]], *, tables: bool = True) -> T:
    """Do one thing with the database. Raises ConfigFault, or StemwatchError if it is away."""

    async def main() -> T:
        database = Database(url, place)
        await database.open(tables=tables)
        try:
            return await do(database)
        except Unavailable as fault:
            raise StemwatchError(str(fault), code=Code.SERVER) from None
        finally:
            await database.close()

    return asyncio.run(main())


async def make_tables(database: Database, *, new_folder: bool = False) -> None:
    """procrastinate's and our own, where they are not there yet.

    `new_folder`: the next one to start says anew which folder the machines share.
    """
    async with database.transaction() as connection:
        await connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        found = await one(connection, "select to_regclass('procrastinate_jobs') is not null")
        if found is None or not found[0]:
            await connection.execute(SchemaManager.get_schema())
        tables = resources.files("stemwatch.server.cluster").joinpath("tables.sql")
        await connection.execute(tables.read_text(encoding="utf-8"))
        if new_folder:
            await connection.execute("delete from stemwatch_cluster")


async def look(database: Database) -> Load:
    async with database.transaction() as connection:
        return await load(connection)


async def dead(database: Database) -> list[Record]:
    """The songs that failed and can be tried again, the last ones first."""
    async with database.transaction() as connection:
        cursor = await connection.execute(
            "select record from stemwatch_song where state = 'failed'"
            " order by finished_at desc limit 1000"
        )
        return [loads(row[0]) for row in await cursor.fetchall()]


async def try_again(database: Database, job_id: str) -> Record:
    """Queue a failed song anew, its counters at nought; it costs its owner nothing more.

    Raises StemwatchError where there is no such song, or it did not fail.
    """
    tickets = Tickets(database)
    await tickets.open()
    async with database.transaction() as connection:
        row = None
        if JOB_ID.fullmatch(job_id):
            row = await one(
                connection,
                "select state, record from stemwatch_song where id = %s for update",
                job_id,
            )
        if row is None or row[0] != "failed":
            state = "is not known here" if row is None else f"is {row[0]}, not failed"
            raise StemwatchError(
                f"The song {job_id} {state}.",
                code=Code.SERVER,
                hint="`stemwatch queue dead` lists those that can be tried again.",
            )
        record = loads(row[1]).evolve(
            state="processing", crashes=0, lost=0, error=None, started_at=None, finished_at=None
        )
        await _queue(connection, tickets, record)
    return record


async def _queue(connection: Connection, tickets: Tickets, record: Record) -> None:
    owner: Any = await one(
        connection, "select turn from stemwatch_owner where name = %s for update", record.owner
    )
    mine = turn(owner[0], await serving(connection, record.stems))
    job = await tickets.put(connection, record.id, record.stems, mine)
    await connection.execute(
        "update stemwatch_song set state = 'processing', finished_at = null, progress = 0,"
        " job = %s, record = %s where id = %s",
        (job, dumps(record), record.id),
    )
    await connection.execute("delete from stemwatch_owed where song = %s", (record.id,))
    await connection.execute(
        "update stemwatch_owner set turn = %s where name = %s", (mine, record.owner)
    )
