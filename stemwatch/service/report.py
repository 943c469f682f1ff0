"""Writes the service's status file on every change, and gives the service manager its tick."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import asdict

from stemwatch import __version__
from stemwatch.service.inboxes import AllServed
from stemwatch.service.systemd import Manager
from stemwatch.workers import progress
from stemwatch.workers.context import Context

# Seconds from a change to its report. A rescan queries the journal just then, and threads that run
# at once wake one another for the interpreter. This saves an eighth of an idle service's wake-ups.
_AFTER = 0.05


class Report:
    """Keeps `status.json` in `state_dir` true while the service runs."""

    def __init__(
        self,
        context: Context,
        inboxes: AllServed,
        manager: Manager,
        *,
        state_dir: str,
        configuration: str | None,
    ) -> None:
        self._context = context
        self._inboxes = inboxes
        self._manager = manager
        self._state_dir = state_dir
        self._configuration = configuration
        self._started = time.time()

    async def run(self) -> None:
        """Write on every change, at most once a second; until cancelled.

        While nothing is under way it wakes up on a change that is reported, else once a minute.
        """
        seen: object = None
        while True:
            self._context.progress.changed.clear()
            now = self._state()
            if now != seen:
                seen = now
                await self.write()
            told = await self._manager.tick(self._inboxes.is_under_way)
            held = any(not pause.rule.ordered for pause in self._context.gate.pauses)
            await self._rest(idle=told and not held)

    async def _rest(self, *, idle: bool) -> None:
        """Sleep until the next tick; at the start, until the first scan is under way at most."""
        timing, watchdog = self._context.timing, self._manager.watchdog or math.inf
        if not self._manager.is_ready:
            await _at_most(timing.status_every, self._inboxes.under_way())
            return
        await asyncio.sleep(min(timing.status_every, watchdog / 4))
        if idle:
            changed = self._context.progress.changed.wait()
            await _at_most(min(timing.status_idle, watchdog / 4), changed)
            await asyncio.sleep(_AFTER)

    async def write(self) -> None:
        """Write the status as it is now."""
        await asyncio.to_thread(self._write_status, self._snapshot())

    def _state(self) -> object:
        pauses = tuple((*p.key, p.until) for p in self._context.gate.pauses)
        watching = [tuple(served.watching.values()) for served in self._inboxes.every]
        context = self._context
        return (context.progress.changes, pauses, watching, context.credit.known)

    def _snapshot(self) -> progress.Snapshot:
        """The status now. Made on the event loop, as it could change while a thread reads it."""
        context, clock, now = self._context, self._context.clock(), time.time()
        return progress.Snapshot(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started,
            written_at=now,
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
                    "next_try": None if pause.until == math.inf else now + pause.until - clock,
                }
                for pause in context.gate.pauses
            ],
            running=progress.running_of(context.progress),
            slots={"held": context.slots.held, "limit": context.slots.limit},
            credit=asdict(context.credit.known) if context.credit.known else None,
            separates="local" if context.local else "api",
            engine=context.progress.engine,
            device=context.progress.device,
            configuration=self._configuration,
            unreadable=[
                {"path": path, "message": message}
                for path, message in self._inboxes.unreadable.items()
            ],
        )

    def _write_status(self, snapshot: progress.Snapshot) -> None:
        with suppress(OSError):  # a full disk is reported elsewhere; a late status is harmless
            progress.write(self._state_dir, snapshot)


async def _at_most(seconds: float, event: Awaitable[object]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event
