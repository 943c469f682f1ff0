"""Tells others how the service is: the status file, and the service manager's watchdog."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress

from stemwatch import __version__, notify, progress
from stemwatch.inbox.rounds import Rounds
from stemwatch.inbox.watcher import Watcher
from stemwatch.workers.context import Context

STANDSTILL = 300.0  # seconds beyond a rescan after which the rounds are taken for hung


class Report:
    """Keeps `status.json` in `state_dir` true while the service runs."""

    def __init__(
        self,
        context: Context,
        rounds: Rounds,
        watcher: Watcher,
        *,
        state_dir: str,
        rescan_seconds: float,
        env: Mapping[str, str],
    ) -> None:
        self._context = context
        self._rounds = rounds
        self._watcher = watcher
        self._state_dir = state_dir
        self._patience = rescan_seconds + STANDSTILL
        self._env = env
        self._started = time.time()

    async def run(self) -> None:
        """Write on every change, at most once a second; until cancelled."""
        every = self._context.timing.status_every
        watchdog = notify.watchdog_seconds(self._env, os.getpid())
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
            # Only while the rounds really go on: a service that hangs is started again.
            if watchdog is not None and self._rounds.standstill() < self._patience:
                notify.alive(self._env)
            await asyncio.sleep(min(every, watchdog / 2) if watchdog else every)

    async def write(self) -> None:
        """Write the status as it is now."""
        await asyncio.to_thread(self._write_status, self._snapshot())

    def _state(self) -> object:
        pauses = tuple((p.code, p.until) for p in self._context.gate.pauses)
        watcher = (self._watcher.mode, self._watcher.reason, self._watcher.rebuilds)
        return (self._context.progress.changes, pauses, watcher, self._rounds.completed)

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
            unreadable=[
                {"path": path, "message": message}
                for path, message in list(self._rounds.unreadable.items())
            ],
        )

    def _write_status(self, snapshot: progress.Snapshot) -> None:
        with suppress(OSError):  # a full disk is told elsewhere; a late status harms nobody
            progress.write(self._state_dir, snapshot)
