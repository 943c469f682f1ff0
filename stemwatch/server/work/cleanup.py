"""Deletes old results: after their time, and the oldest first when the disk is short.

A job that has expired is kept without its stems, for as long again as the stems were kept.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from stemwatch.server.work.record import Record
from stemwatch.server.work.store import Store

EVERY = 300.0  # seconds between two rounds
RETRY = 5.0  # seconds between two looks at a disk that is short
GRACE = 600.0  # seconds in which even a full disk doesn't cost a client its new results


def expired(records: list[Record], *, now: float, keep: float) -> list[Record]:
    """The jobs that ended more than `keep` seconds ago."""
    return [one for one in records if one.finished_at is not None and now - one.finished_at > keep]


@dataclass(frozen=True, slots=True)
class Cleanup:
    """`keep`: seconds that results are kept; `min_free`: bytes of the disk that stay free.

    `report` takes a line for the log.
    """

    store: Store
    keep: float
    min_free: int
    report: Callable[[str], None]
    remove_uploads: Callable[[], None] = lambda: None  # those that no job was made of

    async def run(self) -> None:
        """Remove old results and uploads at intervals, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self._remove_old)
            except OSError as fault:
                self.report(f"old results stay: {fault}")
            await asyncio.sleep(min(EVERY, max(self.keep / 4, 0.2)))

    async def wait_for_room(self) -> None:
        """Return once the disk has `min_free` bytes, making room where that can be done."""
        while not await self.has_room(0):  # noqa: ASYNC110 (nobody tells when a disk has room)
            await asyncio.sleep(RETRY)

    async def has_room(self, needed: int) -> bool:
        """Whether `needed` bytes more leave `min_free`, after giving up the oldest results."""
        return await asyncio.to_thread(self._make_room, needed)

    def _remove_old(self) -> None:
        now = time.time()
        old = expired(self.store.all(), now=now, keep=self.keep)
        self.store.expire(one for one in old if one.state == "completed")
        self.store.remove(expired(old, now=now, keep=2 * self.keep))
        self.remove_uploads()

    def _make_room(self, needed: int) -> bool:
        if self._free() >= self.min_free + needed:
            return True
        for record in expired(self.store.all(), now=time.time(), keep=min(GRACE, self.keep)):
            if not record.files:
                continue  # a job without stems frees next to nothing
            self.store.remove([record])
            if self._free() >= self.min_free + needed:
                return True
        return False

    def _free(self) -> int:
        return shutil.disk_usage(self.store.root).free
