"""Calls the webhooks at a job's end: signed, and repeated where a call fails.

The job's record holds who is still to be told, so that a restart goes on from there. A receiver may
be told twice. It is always told if one of the repeated calls reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

from stemwatch.server.webhooks.hook_calls import WAITS, Calls, Payload, Target, delivery
from stemwatch.server.webhooks.owing import ITS_OWN, owed_to
from stemwatch.server.webhooks.registrations import Registrations
from stemwatch.server.work.json_records import JsonRecords
from stemwatch.server.work.record import Record
from stemwatch.tasks import supervised

OF_ONE = 2  # calls at once to one receiver; a key's jobs' own URLs count as one


class Callbacks:
    """Tells registered webhooks, and a job's own `webhook_url`, of each job's end.

    `payloads` by wire; `secret` signs for a job's own `webhook_url` (None: that is not called).
    `now` gives Unix seconds; `waits` are the seconds that `sleep` spends before each further call;
    `report` gets a line for each webhook given up; `broken` is told of a fault of our own.
    """

    def __init__(
        self,
        records: JsonRecords,
        registrations: Registrations,
        *,
        payloads: dict[str, Payload],
        secret: str | None,
        now: Callable[[], float],
        report: Callable[[str], None],
        broken: Callable[[BaseException], None],
        waits: Sequence[float] = WAITS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._records = records
        self._registrations = registrations
        self._payloads = payloads
        self._secret = secret
        self._calls = Calls(now)
        self._report = report
        self._broken = broken
        self._waits = waits
        self._sleep = sleep
        self._lanes: dict[tuple[str, str], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(OF_ONE)
        )
        self._tasks: set[asyncio.Task[None]] = set()

    def due(self, record: Record) -> tuple[str, ...]:
        """The ids of the webhooks to tell of this job's end, for its record's `untold`."""
        mine = (one for one in self._registrations.all() if one.owner == record.owner)
        return tuple(owed_to(record, map(asdict, mine)))

    def put(self, record: Record) -> None:
        """Start to tell every webhook in the record's `untold`."""
        for target in record.untold:
            lane = self._lanes[record.owner, target]
            task = supervised(self._tell(record.id, target, lane), self._broken)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def start(self) -> None:
        """Take up what an earlier run of the server left."""
        for record in self._records.all():
            self.put(record)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._calls.close()

    async def _tell(self, job_id: str, target_id: str, lane: asyncio.Semaphore) -> None:
        try:
            error = await self._attempts(job_id, target_id, lane)
            if error is not None:
                self._report(f"{job_id}: the webhook {target_id} is given up: {error}")
            await self._records.told(job_id, target_id)
        except OSError as fault:  # the disk: told again after the next start
            self._report(f"{job_id}: the webhook {target_id} is not noted: {fault}")

    async def _attempts(self, job_id: str, target_id: str, lane: asyncio.Semaphore) -> str | None:
        """Call until it is taken; returns None, or the last error if it never was."""
        error: str | None = None
        for wait in (0.0, *self._waits):
            await self._sleep(wait)
            async with lane:
                error = await self._call(job_id, target_id)
            if error is None:
                break
        return error

    async def _call(self, job_id: str, target_id: str) -> str | None:
        """Call once; returns None, or why it was not taken.

        Also None where nobody is to be told any more: the job or the registration is gone.
        """
        record = await self._records.get(job_id)
        target = None if record is None else self._target(record, target_id)
        if record is None or record.state == "expired" or target is None:
            return None
        payload = self._payloads[target.wire](record)
        error = await self._calls.call(target, payload, delivery(record, target_id))
        with contextlib.suppress(OSError):  # the note alone is lost
            await asyncio.to_thread(self._registrations.called, target_id, error)
        return error

    def _target(self, record: Record, target_id: str) -> Target | None:
        if target_id == ITS_OWN:
            if record.webhook_url is None or self._secret is None:
                return None
            return Target(record.webhook_url, "separate", self._secret)
        known = self._registrations.get(target_id)
        return None if known is None else Target(known.url, known.wire, known.secret)
