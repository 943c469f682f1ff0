"""Tells the service manager (systemd): ready, alive, status line, more time to start or stop.

While it runs, all of it is sent from the report's tick: an idle service does not wake up for it.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from stemwatch.errors import StemwatchError
from stemwatch.job import UNDER_WAY, JobState
from stemwatch.log import log, redacted
from stemwatch.operations.words import counted
from stemwatch.service import sd_notify
from stemwatch.service.watchdog import Vital
from stemwatch.tasks import supervised
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.budget import start_of_day

_COUNT_EVERY = 2.0  # seconds between two questions to the journal for the status line
_EXTENSION = 20.0  # seconds that a start or a stop asks for at a time
_EXTEND_EVERY = 5.0
_LONGEST_START = 1800.0  # to rebuild a lost journal from ten thousand sidecars on a slow disk


def status_line(counts: Mapping[str, int], done_today: int, reasons: list[str]) -> str:
    """Such as "3 separating, 12 waiting, 41 done today"; then why work is held, if it is."""
    working = sum(counts[state] for state in UNDER_WAY)
    line = f"{working} separating, {counts[JobState.QUEUED]} waiting, {done_today} done today"
    if held := counts[JobState.QUARANTINED]:
        line += f", {held} in quarantine"
    return "; ".join([line, *(redacted(reason) for reason in reasons)])


class Manager:
    """Speaks for one service. Without `$NOTIFY_SOCKET` it sends nothing and queries nothing."""

    def __init__(self, context: Context, vital: Vital, env: Mapping[str, str]) -> None:
        self._context = context
        self._vital = vital
        self._env = env
        self.listens = bool(env.get("NOTIFY_SOCKET"))
        self.watchdog = sd_notify.watchdog_seconds(env, os.getpid()) if self.listens else None
        self.is_ready = not self.listens
        self._told_ready = False
        self.note = ""  # what the owner should know until it is mended, such as a faulty reload
        self._hung = ""
        self._next_alive = 0.0
        self._next_count = 0.0
        self._told: object = None
        self._line = ""

    # -- the start -------------------------------------------------------------------------

    async def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, which comes before all else, and ask for more time while it lasts."""
        await self._meanwhile(self._ask_for_start(), work)

    async def _ask_for_start(self) -> None:
        asked = 0.0
        while self.listens and asked < _LONGEST_START:
            await asyncio.sleep(_EXTEND_EVERY)
            asked += _EXTEND_EVERY
            sd_notify.extend(_EXTENSION, self._env)
            self._say("starting: puts in order what an earlier run left")

    # -- a tick of the report --------------------------------------------------------------

    async def tick(self, under_way: bool) -> bool:
        """Send what is new. `under_way`: the first scan has begun.

        False: the manager's queue was full, so it is to be said again.
        """
        self.is_ready = self.is_ready or under_way
        if not self.listens or not self.is_ready:
            return True
        self._told_ready = self._told_ready or sd_notify.ready(self._env)
        if not self._told_ready:
            return False
        heard = self._watchdog()
        return await self._status() and heard

    def _watchdog(self) -> bool:
        """False: the manager's queue is full, so the next tick has to say it."""
        now = self._context.clock()
        if self.watchdog is None or now < self._next_alive:
            return True
        hung = self._vital.hung()
        if hung and not self._hung:
            log.critical("service.hung", message=f"{hung}: the service manager starts it again")
        self._hung = hung
        if hung:
            return True
        if not sd_notify.alive(self._env):
            return False
        self._next_alive = now + self.watchdog / 2
        return True

    async def _status(self) -> bool:
        context, now = self._context, self._context.clock()
        pauses = tuple(pause.code for pause in context.gate.pauses)
        state = (context.progress.changes, pauses, self.note, self._hung, start_of_day(time.time()))
        if state == self._told or now < self._next_count:
            return state == self._told
        self._next_count = now + min(_COUNT_EVERY, 2 * context.timing.status_every)
        with suppress(StemwatchError):  # reported elsewhere, and louder
            done = await context.journal.changed_since(JobState.DONE, state[-1])
            line = status_line(await context.journal.active(), done, self._reasons())
            if self._say(line):
                self._told = state
        return state == self._told

    def _reasons(self) -> list[str]:
        paused = [f"paused: {pause.message}" for pause in self._context.gate.pauses]
        return [text for text in (self._hung, *paused, self.note) if text]

    def _say(self, line: str) -> bool:
        """Whether the manager has this line now; its queue may be full."""
        if line != self._line and sd_notify.status(line, self._env):
            self._line = line
        return line == self._line

    # -- a reload --------------------------------------------------------------------------

    def reloading(self) -> None:
        if self.is_ready:  # during the start nobody waits for it
            sd_notify.reloading(self._env, time.monotonic())

    def reloaded(self, note: str) -> None:
        """The reload is over, well or not; `note` stays in the status line."""
        self.note = note
        self._context.progress.changed.set()
        if self.is_ready:
            sd_notify.ready(self._env)

    # -- the end ---------------------------------------------------------------------------

    async def drain(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, the service's end, and ask for more time while it may save a paid song."""
        sd_notify.stopping(self._env)
        await self._meanwhile(self._ask_for_time(), work)

    @staticmethod
    async def _meanwhile(
        asking: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]
    ) -> None:
        aside = supervised(asking, _not_asked, name="extend")
        try:
            await work
        finally:
            aside.cancel()
            await asyncio.gather(aside, return_exceptions=True)

    async def _ask_for_time(self) -> None:
        while self.listens:
            if costly := len(self._context.committed) or len(self._context.critical):
                sd_notify.extend(_EXTENSION, self._env)
                songs = counted(costly, "song")
                self._say(f"stopping; waits for the answer for {songs} already uploaded")
            else:
                self._say("stopping")
            if self.watchdog is not None:
                sd_notify.alive(self._env)
            # As often as while it runs: one that found the queue full is sent again in time.
            await asyncio.sleep(min(_EXTEND_EVERY, (self.watchdog or math.inf) / 2))


def _not_asked(fault: BaseException) -> None:
    log.error("service.not_extended", exc_info=fault)
