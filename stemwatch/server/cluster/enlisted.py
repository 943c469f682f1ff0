"""A worker's entry in the database: made anew where it was lost, kept fresh, deleted at the end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from stemwatch.server.cluster.database import Database, one
from stemwatch.server.cluster.sweeper import sweep
from stemwatch.server.cluster.tickets_of_jobs import put_back
from stemwatch.server.work.records import Unavailable


class Enlisted:
    """`told` gives what `/v1/health` shows of it; `stall` seconds without a heartbeat: it is gone.

    `held` gives the queue's ids of the jobs that this process has. `busy` is held by who takes one,
    so that a job between the queue and `held` is not mistaken for a lost one.
    """

    def __init__(
        self,
        database: Database,
        *,
        name: str,
        told: Callable[[], Mapping[str, Any]],
        beat: float,
        stall: float,
        held: Callable[[], list[int]],
        busy: asyncio.Lock,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = 0
        self._database = database
        self._name = name
        self._told = told
        self._beat = beat
        self._stall = stall
        self._held = held
        self._busy = busy
        self._shown = ""  # what `told` gave, as it stands in the entry
        self._report = report
        self._clock = clock
        self._first = self._last = 0.0  # of the heartbeats that came through without a gap

    async def enlist(self) -> None:
        """Make the entry. Raises Unavailable."""
        told = json.dumps(dict(self._told()))
        async with self._database.transaction() as connection:
            made = await one(connection, "select worker_id from procrastinate_register_worker_v1()")
            assert made is not None
            await connection.execute(
                "insert into stemwatch_worker (id, name, stall, told) values (%s, %s, %s, %s)",
                (made[0], self._name, self._stall, told),
            )
        self.id, self._shown = made[0], told

    async def leave(self) -> None:
        """Delete the entry. Raises Unavailable."""
        async with self._database.transaction() as connection:
            await connection.execute("delete from procrastinate_workers where id = %s", (self.id,))

    async def run(self) -> None:
        """Beat, and sweep, until cancelled; an outage of the database ends nothing."""
        away = False
        while True:
            try:
                await self.beat()
                await sweep(
                    self._database, self._stall, self._report, beating=self._last - self._first
                )
                away = False
            except Unavailable as fault:
                if not away:
                    self._report(str(fault))
                away = True
            await asyncio.sleep(self._beat)

    async def beat(self) -> None:
        """Say that we live, and how; give back what the queue thinks that we have, and we don't."""
        told = json.dumps(dict(self._told()))
        async with self._busy, self._database.transaction() as connection:
            known = await one(
                connection,
                "update procrastinate_workers set last_heartbeat = now() where id = %s"
                " returning id",
                self.id,
            )
            if told != self._shown:
                await connection.execute(
                    "update stemwatch_worker set told = %s where id = %s", (told, self.id)
                )
            cursor = await connection.execute(
                "select id from procrastinate_jobs"
                " where worker_id = %s and status = 'doing' and not id = any(%s)",
                (self.id, self._held()),
            )
            for (job,) in await cursor.fetchall():  # the answer to our taking was lost
                await put_back(connection, job, self.id)
        self._shown = told
        now = self._clock()
        # A gap: this process, or its way to the database, stood still; perhaps everybody's did.
        if now - self._last > 2 * self._beat + 1.0:
            self._first = now
        self._last = now
        if known is None:  # we were taken as gone, and somebody else has our jobs
            await self.enlist()
