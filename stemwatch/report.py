"""Keeps others informed how the service is: the status file, and a tick for the manager."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import asdict

from stemwatch import __version__, progress
from stemwatch.inbox.rounds import Rounds
from stemwatch.inbox.watcher import Watcher
from stemwatch.manager import Manager
from stemwatch.workers.context import Context


class Report:
    """Keeps `status.json` in `state_dir` true while the service runs."""

    def __init__(
        self,
        context: Context,
        rounds: Rounds,
        watcher: Watcher,
        manager: Manager,
        *,
        state_dir: str,
    ) -> None:
        self._context = context
        self._rounds = rounds
        self._watcher = watcher
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
            if self._rounds.completed != scans:
                scans = self._rounds.completed
                self._context.wake()  # `retry` is another process: what it brought back is due
            now = self._state()
            if now != seen:
                seen = now
                await self.write()
            await self._manager.tick(self._rounds.under_way.is_set())
            await self._rest(every)

    async def _rest(self, seconds: float) -> None:
        """Until the next tick; at the start, until the first scan is under way at most."""
        if self._manager.is_ready:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rounds.under_way.wait()

    async def write(self) -> None:
        """Write the status as it is now."""
        await asyncio.to_thread(self._write_status, self._snapshot())

    def _state(self) -> object:
        pauses = tuple((p.code, p.until) for p in self._context.gate.pauses)
        watcher = (self._watcher.mode, self._watcher.reason, self._watcher.rebuilds)
        context = self._context
        return (
            context.progress.changes,
            pauses,
            watcher,
            self._rounds.completed,
            context.credit.known,
        )

    def _snapshot(self) -> progress.Snapshot:
        """Taken on the loop: in a thread, what is looked at would change under its eyes."""
        context, clock = self._context, self._context.clock()
        return progress.Snapshot(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started,
            written_at=time.time(),
            watcher={
                "mode": self._watcher.mode,
                "reason": self._watcher.reason,
                "healthy": self._watcher.healthy,
                "rebuilds": self._watcher.rebuilds,
                "scans": self._rounds.completed,
            },
            pauses=[
                {
                    "code": pause.code,
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
                for path, message in list(self._rounds.unreadable.items())
            ],
        )

    def _write_status(self, snapshot: progress.Snapshot) -> None:
        with suppress(OSError):  # a full disk is told elsewhere; a late status harms nobody
            progress.write(self._state_dir, snapshot)
