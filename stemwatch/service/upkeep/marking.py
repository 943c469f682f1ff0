"""Keeps the marker files of `outbox.ignore_files` in one inbox's outbox.

They are written before the first song could be shown there: a library that scans in between would
take its stems in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from stemwatch.disks.places import Place
from stemwatch.errors import RetryLater, StemwatchError
from stemwatch.log import log
from stemwatch.outbox.marker_files import write_missing
from stemwatch.tasks import supervised


class Marking:
    """`files` (name and content) as they are configured now. None of them is ever removed."""

    def __init__(self, place: Place, files: Mapping[str, bytes]) -> None:
        self._place = place
        self._files = files
        self._tasks: set[asyncio.Task[None]] = set()

    async def mark(self) -> None:
        """Write those that are missing. Raises PauseService while the disk can't take them."""
        if not self._files:
            return
        await self._place.demand_outbox()  # nothing is put below a mount point
        try:
            await self._place.demand(self._write, self._place.outbox)
        except RetryLater as fault:  # about this one name: songs need not wait for it
            _unmarked(fault)

    def take(self, files: Mapping[str, bytes], *, now: bool) -> None:
        """Others are configured; `now`: write those that are missing in a task."""
        self._files = files
        if now:
            task = supervised(self.mark(), _unmarked, name="marking")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _write(self, outbox: str) -> None:
        if written := write_missing(outbox, self._files):
            log.info("outbox.marked", outbox=outbox, files=written)


def _unmarked(fault: BaseException) -> None:
    log.warning(
        "outbox.unmarked",
        message=f"{fault} (outbox.ignore_files)",
        hint="It is tried again at the next start.",
        exc_info=None if isinstance(fault, StemwatchError) else fault,
    )
