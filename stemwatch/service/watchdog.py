"""Liveness checks for the watchdog: do the rounds, the journal and the workers make progress?

A timer that fires proves that the event loop runs, and nothing else. These checks run on that loop,
so a loop that hangs falls silent by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from stemwatch.errors import StemwatchError
from stemwatch.journal.journal import Journal
from stemwatch.workers.pool.turns import Pool

# Seconds: slow is not hung. A sleeping disk takes 20 s to spin up, a lost share a minute to fail.
ROUNDS_PATIENCE = 300.0  # beyond a rescan; every round checks the watcher too
JOURNAL_PATIENCE = 120.0
TURN_PATIENCE = 300.0
STEP_PATIENCE = 600.0  # beyond the longest single call that is allowed


class RoundsView(Protocol):
    """What `Vital` needs of the rounds through the inboxes."""

    def standstill(self) -> float:
        """Seconds since the last sign that they go on."""


class Vital:
    """Finds what stands still. `rescan` and `longest_call` give seconds, as configured now."""

    def __init__(
        self,
        rounds: RoundsView,
        journal: Journal,
        pool: Pool,
        *,
        rescan: Callable[[], float],
        longest_call: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rounds = rounds
        self._journal = journal
        self._pool = pool
        self._rescan = rescan
        self._longest_call = longest_call
        self._clock = clock
        self._pulse: asyncio.Task[None] | None = None
        self._pulsed = clock()  # when the journal was last asked, or last answered
        self._moves = -1
        self._moved = clock()

    def hung(self) -> str:
        """What stands still, in words; "" while everything goes on. To be called regularly."""
        now = self._clock()
        for what, silent, patience in (
            ("the look through the inbox has", self._rounds.standstill(), self.rounds_patience()),
            ("the journal has", self._journal_silent(now), JOURNAL_PATIENCE),
            ("the worker pool's planning has", self._pool.standstill(), TURN_PATIENCE),
            ("the workers have", self._motionless(now), self._longest_call() + STEP_PATIENCE),
        ):
            if silent > patience:
                return f"{what} not moved for {silent:.0f} s"
        return ""

    def rounds_patience(self) -> float:
        """Seconds that the rounds through the inboxes may be silent."""
        return self._rescan() + ROUNDS_PATIENCE

    def _journal_silent(self, now: float) -> float:
        """Seconds that the journal leaves a request unanswered. A full disk is an answer too."""
        if self._pulse is None or self._pulse.done():
            if self._pulse is not None:
                self._pulse.result()  # raises an unforeseen fault, which ends the service
            self._pulsed = now
            self._pulse = asyncio.create_task(self._ask_journal(), name="pulse")
        return now - self._pulsed

    async def _ask_journal(self) -> None:
        with suppress(StemwatchError):
            await self._journal.pulse()

    def _motionless(self, now: float) -> float:
        """Seconds in which steps were under way, and none of them ended or moved a byte."""
        moves = self._pool.moves
        if moves != self._moves or not self._pool.busy:
            self._moves, self._moved = moves, now
        return now - self._moved
