"""Deletes old results: after their time, and the oldest first when the disk is short.

A job that has expired is kept without its stems, for as long again as the stems were kept.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from stemwatch.server.work.job_files import Files
from stemwatch.server.work.records import Records, Unavailable

EVERY = 300.0  # seconds between two rounds
RETRY = 5.0  # seconds between two looks at a disk that is short
GRACE = 600.0  # seconds in which even a full disk doesn't cost a client its new results
MOST_TOLD = 10  # jobs that stay; where a whole disk is away, all do
QUIET = 3600.0  # seconds without such a loss, after which the next one is told of again


@dataclass(slots=True)
class Cleanup:
    """`keep`: seconds that results are kept; `min_free`: bytes of the disk that stay free.

    `report` takes a line for the log; `waiting`: how many jobs wait for room on the disk;
    `retry`: seconds between two looks at it meanwhile; `clock`: seconds that never go back.
    """

    files: Files
    records: Records
    keep: float
    min_free: int
    report: Callable[[str], None]
    remove_uploads: Callable[[], None] = lambda: None  # those that no job was made of
    retry: float = RETRY
    waiting: int = 0
    _stay: set[str] = field(default_factory=set)  # jobs that could not be removed
    clock: Callable[[], float] = time.monotonic
    _early: float = field(default=-math.inf, init=False)  # when results last went early

    async def run(self) -> None:
        """Remove old results and uploads at intervals, until cancelled."""
        while True:
            try:
                await self.remove_old()
            except (OSError, Unavailable) as fault:
                self.report(f"old results stay: {fault}")
            await asyncio.sleep(min(EVERY, max(self.keep / 4, 0.2)))

    async def wait_for_room(self, needed: int = 0) -> None:
        """Return once the disk has `min_free` bytes, making room where that can be done.

        Old results are given up for `needed` bytes more, but those are not waited for: they are an
        estimate. Of the jobs that wait so, the first one is reported, and that there is room again.
        """
        if await self.has_room(needed) or await self.has_room(0):
            return
        self.waiting += 1
        if self.waiting == 1:
            least = f"{self.min_free / 1e9:.1f} GB"
            self.report(f"jobs wait for room: less than {least} is free in {self.files.root}")
        try:
            while not await self.has_room(0):  # noqa: ASYNC110 (nobody tells when a disk has room)
                await asyncio.sleep(self.retry)
        finally:
            self.waiting -= 1
        if self.waiting == 0:
            self.report("there is room again: jobs go on")

    async def has_room(self, needed: int) -> bool:
        """Whether `needed` bytes more leave `min_free`, after giving up the oldest results.

        None is given up for more than all of them make room for, by an estimate.
        """
        free = await self._free()
        if free >= self.min_free + needed:
            return True
        grace = min(GRACE, self.keep)
        ended = await self.records.ended_before(time.time() - grace)
        # Others have no stems. In a cluster an upload may still lie there, and is kept: a person
        # may have it tried again.
        old = [one for one in ended if one.files]
        if needed and free + sum(one.room() for one in old) < self.min_free + needed:
            return False
        for record in old:
            gone = await self.tried(record.id, self.records.remove(record))
            if gone:
                self._tell_early(grace)
            if gone and await self._free() >= self.min_free + needed:
                return True
        return False

    async def remove_old(self) -> None:
        """One round."""
        now = time.time()
        for record in await self.records.ended_before(now - self.keep):
            if record.finished_at is not None and now - record.finished_at > 2 * self.keep:
                await self.tried(record.id, self.records.remove(record))
            elif record.state == "completed":
                await self.tried(record.id, self.records.expire(record))
        await asyncio.to_thread(self.remove_uploads)

    async def tried(self, job_id: str, removal: Awaitable[None]) -> bool:
        """Whether it could be removed; one that stays is told of once, and holds up no other."""
        try:
            await removal
        except OSError as fault:
            if job_id not in self._stay and len(self._stay) < MOST_TOLD:
                self.report(f"{job_id} can't be removed: {fault}")
            self._stay.add(job_id)
            return False
        self._stay.discard(job_id)
        return True

    def _tell_early(self, grace: float) -> None:
        """Once while it lasts: a disk that stays short costs results at each upload."""
        last, self._early = self._early, self.clock()
        if self._early - last > QUIET:
            self.report(
                f"{self.files.root} has no room: results older than {grace / 60:.0f} minutes are "
                "given up before their time, the oldest first"
            )

    async def _free(self) -> int:
        return await asyncio.to_thread(self.files.free)
