"""Keeps others informed how the service is: the status file, and a tick for the manager."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import asdict

from stemwatch import __version__, progress
from stemwatch.manager import Manager
from stemwatch.served import AllServed
from stemwatch.workers.context import Context


class Report:
    """Keeps `status.json` in `state_dir` true while the service runs."""

    def __init__(
        self,
        context: Context,
        inboxes: AllServed,
        manager: Manager,
        *,
        state_dir: str,
    ) -> None:
        self._context = context
        self._inboxes = inboxes
        self._manager = manager
        self._state_dir = state_dir
        self._started = time.time()

    async def run(self) -> None:
        """Write on every change, at most once a second; until cancelled."""
        every = self._context.timing.status_every
        if self._manager.watchdog is not None:
            every = min(every, self._manager.watchdog / 2)
        seen: object = None
        scans = 0
        while True:
            if self._inboxes.scans != scans:
                scans = self._inboxes.scans
                self._context.wake()  # `retry` is another process: what it brought back is due
            now = self._state()
            if now != seen:
                seen = now
                await self.write()
            await self._manager.tick(self._inboxes.is_under_way)
            await self._rest(every)

    async def _rest(self, seconds: float) -> None:
        """Until the next tick; at the start, until the first scan is under way at most."""
        if self._manager.is_ready:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._inboxes.under_way()

    async def write(self) -> None:
        """Write the status as it is now."""
        await asyncio.to_thread(self._write_status, self._snapshot())

    def _state(self) -> object:
        pauses = tuple((*p.key, p.until) for p in self._context.gate.pauses)
        watching = [tuple(served.watching.values()) for served in self._inboxes.every]
        context = self._context
        return (context.progress.changes, pauses, watching, context.credit.known)

    def _snapshot(self) -> progress.Snapshot:
        """Taken on the loop: in a thread, what is looked at would change under its eyes."""
        context, clock = self._context, self._context.clock()
        return progress.Snapshot(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started,
            written_at=time.time(),
            watcher=self._inboxes.watching,
            inboxes=[
                {"name": served.name, "watcher": served.watching} for served in self._inboxes.every
            ],
            pauses=[
                {
                    "code": pause.code,
                    "inbox": pause.inbox,
                    "message": pause.message,
                    "hint": pause.hint,
                    "next_try": time.time() + pause.until - clock,
                }
                for pause in context.gate.pauses
            ],
            running=progress.running_of(context.progress),
            slots={"held": context.slots.held, "limit": context.slots.limit},
            credit=asdict(context.credit.known) if context.credit.known else None,
            unreadable=[
                {"path": path, "message": message}
                for path, message in self._inboxes.unreadable.items()
            ],
        )

    def _write_status(self, snapshot: progress.Snapshot) -> None:
        with suppress(OSError):  # a full disk is told elsewhere; a late status harms nobody
            progress.write(self._state_dir, snapshot)
