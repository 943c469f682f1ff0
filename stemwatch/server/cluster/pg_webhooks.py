"""The webhooks of a cluster: registered, and told of a job's end once, by any front end.

A row of `stemwatch_owed` is one (job, webhook) to be told. Who takes it has it for a while; where
that front end dies amid the call, another one takes it afterwards. Its delivery id is the same.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from stemwatch.server.cluster.database import Connection, Database, one
from stemwatch.server.cluster.tickets_of_jobs import OWED
from stemwatch.server.webhooks.hook_calls import BUDGET, WAITS, Calls, Payload, Target, delivery
from stemwatch.server.webhooks.owing import ITS_OWN
from stemwatch.server.webhooks.registrations import (
    EVENTS,
    MAX_REGISTRATIONS,
    Registration,
    Signed,
    new_registration,
    noted,
    registered_before,
    too_many,
)
from stemwatch.server.work.record import Record, loads
from stemwatch.server.work.records import Unavailable
from stemwatch.tasks import supervised

LANES = 8  # calls at once
OF_ONE = 2  # of them to one receiver: one that does not answer must not hold up the others
OF_KEY = LANES - OF_ONE  # of them to those of one key, for the same reason
LEASE = BUDGET + 10.0  # seconds
REGISTERING = 0x57E3  # the class of the locks of who registers
LOOK = 5.0  # seconds between two looks when nobody tells of something owed

# A receiver by its key and its registration's id: a key's jobs' own URLs count as one.
_TAKE = """
update stemwatch_owed set calls = calls + 1, due_at = now() + make_interval(secs => %s)
 where (song, target) = (select owed.song, owed.target
                           from stemwatch_owed owed join stemwatch_song song on song.id = owed.song
                          where due_at <= now() and song.owner || ' ' || target <> all(%s)
                                and song.owner <> all(%s)
                          order by due_at limit 1 for update of owed skip locked)
returning song, target, calls, due_at,
          (select owner from stemwatch_song where id = song) || ' ' || target
"""


class PgSubscriptions:
    """The registrations; `secret`: whether the server signs for a job's own URL."""

    def __init__(self, database: Database, *, secret: bool) -> None:
        self._database = database
        self._secret = secret

    async def of(self, owner: str, wire: str) -> list[Registration]:
        async with self._database.transaction() as connection:
            known = await _registered(connection, owner)
        return [one for one in known if one.wire == wire]

    async def subscribe(
        self, owner: str, wire: str, url: str, events: Sequence[str] = EVENTS
    ) -> Registration:
        new = new_registration(wire, url, events, owner, time.time())
        async with self._database.transaction() as connection:
            # One after another, on whichever front end: else two find that the URL is not there.
            await connection.execute(
                "select pg_advisory_xact_lock(%s, hashtext(%s))", (REGISTERING, owner)
            )
            known = await _registered(connection, owner)
            if (same := registered_before(known, new)) is not None:
                return same
            if len(known) >= MAX_REGISTRATIONS:
                raise too_many()
            await connection.execute(
                "insert into stemwatch_webhook (id, owner, url, registration)"
                " values (%s, %s, %s, %s)",
                (new.id, owner, url, json.dumps(asdict(new))),
            )
        return new

    async def unsubscribe(self, owner: str, wire: str, registration_id: str) -> bool:
        if registration_id not in {one.id for one in await self.of(owner, wire)}:
            return False
        async with self._database.transaction() as connection:
            await connection.execute(
                "delete from stemwatch_webhook where id = %s", (registration_id,)
            )
        return True

    async def signed(self, owner: str) -> Signed:
        known = {one.url for one in await self.of(owner, "separate")}
        return lambda url: self._secret or url in known


class Teller:
    """Calls what is owed; `secret` signs for a job's own URL (None: that is not called)."""

    def __init__(
        self,
        database: Database,
        *,
        payloads: Mapping[str, Payload],
        secret: str | None,
        report: Callable[[str], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._database = database
        self._payloads = payloads
        self._secret = secret
        self._report = report
        self._broken = broken
        self._calls = Calls(time.time)
        self._calling: list[str] = []  # the receiver of each call under way
        self._taking = asyncio.Lock()
        self._news = [asyncio.Event() for _ in range(LANES)]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        lanes = [self._lane(news) for news in self._news]
        self._tasks = [supervised(one, self._broken) for one in (*lanes, self._listen())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._calls.close()

    async def _lane(self, news: asyncio.Event) -> None:
        while True:
            news.clear()
            try:
                while await self._tell_one():
                    pass
            except Unavailable:
                pass  # the front end's answers say so
            try:
                async with asyncio.timeout(LOOK):
                    await news.wait()
            except TimeoutError:
                pass

    async def _tell_one(self) -> bool:
        """Make one call that is due; False where none is."""
        async with self._taking:  # one after another: each must see whom the others call
            taken = await self._take()
            if taken is None:
                return False
            song, target_id, calls, lease, receiver = taken
            self._calling.append(receiver)
        try:
            await self._tell(song, target_id, calls, lease)
        finally:
            self._calling.remove(receiver)
        return True

    async def _take(self) -> tuple[Any, ...] | None:
        """A song, whom to tell, the number of this call, its lease, the receiver; None: none."""
        calling = Counter(self._calling)
        keys = Counter(receiver.rpartition(" ")[0] for receiver in self._calling)
        held = [one for one, calls in calling.items() if calls >= OF_ONE]
        full = [one for one, calls in keys.items() if calls >= OF_KEY]
        async with self._database.transaction() as connection:
            return await one(connection, _TAKE, LEASE, held, full)

    async def _tell(self, song: str, target_id: str, calls: int, lease: datetime) -> None:
        async with self._database.transaction() as connection:
            record, target = await self._owed(connection, song, target_id)
        if record is None or record.state == "expired" or target is None:
            await self._forget(song, target_id, lease)  # nobody is to be told any more
            return
        payload = self._payloads[target.wire](record)
        error = await self._calls.call(target, payload, delivery(record, target_id))
        await self._note(target_id, error)
        if error is None or calls > len(WAITS):
            if error is not None:
                self._report(f"{song}: the webhook {target_id} is given up: {error}")
            await self._forget(song, target_id, lease)
        else:
            async with self._database.transaction() as connection:
                await connection.execute(
                    "update stemwatch_owed set due_at = now() + make_interval(secs => %s)"
                    " where song = %s and target = %s and due_at = %s",
                    (WAITS[calls - 1], song, target_id, lease),
                )
            asyncio.get_running_loop().call_later(WAITS[calls - 1], self._wake)

    async def _owed(
        self, connection: Connection, song: str, target_id: str
    ) -> tuple[Record | None, Target | None]:
        row = await one(connection, "select record from stemwatch_song where id = %s", song)
        record = None if row is None else loads(row[0])
        if target_id == ITS_OWN:
            if record is None or record.webhook_url is None or self._secret is None:
                return record, None
            return record, Target(record.webhook_url, "separate", self._secret)
        known = await _registration(connection, target_id)
        return record, None if known is None else Target(known.url, known.wire, known.secret)

    async def _forget(self, song: str, target_id: str, lease: datetime) -> None:
        """Only the row that we took: amid our call, `queue retry` may bring a second end."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "delete from stemwatch_owed where song = %s and target = %s and due_at = %s",
                (song, target_id, lease),
            )

    async def _note(self, target_id: str, error: str | None) -> None:
        async with self._database.transaction() as connection:
            known = await _registration(connection, target_id, "for update")
            if known is not None:
                await connection.execute(
                    "update stemwatch_webhook set registration = %s where id = %s",
                    (json.dumps(asdict(noted(known, error, time.time()))), target_id),
                )

    def _wake(self) -> None:
        for news in self._news:
            news.set()

    async def _listen(self) -> None:
        while True:
            try:
                await self._database.heard(OWED, self._wake)
            except Unavailable:
                pass
            await asyncio.sleep(1.0)


async def _registered(connection: Connection, owner: str) -> list[Registration]:
    cursor = await connection.execute(
        "select registration from stemwatch_webhook where owner = %s order by id", (owner,)
    )
    return [_parsed(row[0]) for row in await cursor.fetchall()]


async def _registration(connection: Connection, known: str, lock: str = "") -> Registration | None:
    row = await one(
        connection,
        f"select registration from stemwatch_webhook where id = %s {lock}",
        known,
    )
    return None if row is None else _parsed(row[0])


def _parsed(text: str) -> Registration:
    values = json.loads(text)
    return Registration(**{**values, "events": tuple(values["events"])})
