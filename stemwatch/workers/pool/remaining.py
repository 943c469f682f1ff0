"""Whether work remains, for callers that wait for the end: `run --once` and `split`."""

from __future__ import annotations

from stemwatch.codes import CONFIRM, FETCH, FILE, POLL, Code
from stemwatch.job import JobState
from stemwatch.workers.context import Context
from stemwatch.workers.pool import claims
from stemwatch.workers.pool.claims import Claims
from stemwatch.workers.pool.lanes import Lanes

_TRIES = 3  # of a pause that may pass before nobody waits for its end any more


class Left:
    """Looks at the lanes, at what is watched, and at the journal."""

    def __init__(self, ctx: Context, lanes: Lanes, claims: Claims) -> None:
        self._ctx = ctx
        self._lanes = lanes
        self._claims = claims

    async def nothing(self) -> bool:
        """Whether nothing is left to do, now or later."""
        ended = self._lanes.ended
        if len(self._ctx.polls) or self._lanes.busy:
            return False
        left = await self._claims.any_left((*claims.ALL, JobState.SEPARATING))
        return not left and self._same_since(ended)

    async def only_what_waits(self) -> bool:
        """Whether what is left waits for a person (a key, credit, room) or for another day."""
        ctx, ended = self._ctx, self._lanes.ended
        if self._lanes.busy:
            return False
        # Also one that was only just taken up, and that nobody asks for yet.
        under_way = len(ctx.polls) > 0 or await self._claims.any_left([JobState.SEPARATING])
        if under_way and not ctx.gate.closed(POLL):
            return False  # what is paid for goes on, whatever holds back the rest
        for name in (CONFIRM, FETCH, FILE):  # also between its last poll and its download
            if await self._claims.left(name):
                return False
        held = [p for p in ctx.gate.pauses if p.code != Code.RATE_LIMITED]
        if any(p.inbox is None for p in held):
            patient = all(not p.rule.awaited or p.attempts > _TRIES for p in held)
            return patient and self._same_since(ended)
        budgeted = ctx.budget.limited and not ctx.local
        if under_way or not (held or budgeted or ctx.troubles.waiting()):
            return False
        return not await self._claims.affordable_left() and self._same_since(ended)

    def _same_since(self, ended: int) -> bool:
        """Whether no step began or ended since so many had.

        A song that goes on while the journal is asked may be seen in none of its states.
        """
        return not self._lanes.busy and self._lanes.ended == ended
