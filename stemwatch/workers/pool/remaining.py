"""Whether work remains, for callers that wait for the end: `run --once` and `split`."""

from __future__ import annotations

from stemwatch.codes import CONFIRM, FETCH, FILE, POLL, UNPACK, Code
from stemwatch.job import JobState
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.pause import Pause
from stemwatch.workers.pool.choosing import claims
from stemwatch.workers.pool.choosing.claims import Claims
from stemwatch.workers.pool.lanes import Lanes

# The first try of these tells soon whether it was one song's, one folder's, or a moment's trouble.
_SOON_OVER = frozenset({Code.DISK, Code.STORAGE})
_TRIES = 3  # after so many failed tries of a pause, its end is no longer waited for


class Remaining:
    """Tells what work remains, from the lanes, the scheduled polls and the journal."""

    def __init__(self, ctx: Context, lanes: Lanes, claims: Claims) -> None:
        self._ctx = ctx
        self._lanes = lanes
        self._claims = claims

    async def nothing(self) -> bool:
        """Whether nothing is left to do, now or later."""
        seen = self._moves()
        if len(self._ctx.polls) or self._lanes.busy:
            return False
        left = await self._claims.any_left((*claims.ALL, JobState.SEPARATING))
        return not left and self._same_since(seen)

    async def only_what_waits(self) -> bool:
        """Whether all remaining work waits for a person (key, credit, space) or for another day."""
        ctx, seen, vain = self._ctx, self._moves(), self._ctx.troubles.in_vain
        if self._lanes.busy:
            return False
        # A remote job may be in the journal whose polls are not scheduled yet.
        under_way = bool({*ctx.polls} - vain.keys()) or await self._claims.any_left(
            [JobState.SEPARATING], but=vain
        )
        if under_way and not ctx.gate.closed(POLL):
            return False  # paid jobs go on, whatever holds the others back
        # A job may be between its last poll and its download, and needs no question about it then.
        if await self._left_to_fetch({*vain}):
            return False
        for name in (CONFIRM, FILE, UNPACK):
            if await self._claims.left(name, but={*vain, *self._lanes[name].hung}):
                return False
        held = [p for p in ctx.gate.pauses if p.code != Code.RATE_LIMITED]
        if any(map(self._may_soon_be_over, held)):
            return False
        of_all = [p for p in held if p.inbox is None and not p.rule.by_size]
        if of_all:
            patient = all(not p.rule.awaited or p.attempts > _TRIES for p in held)
            if patient and all(p.code == Code.INTERNAL for p in of_all):
                patient = not await self._try_decides()
            return patient and self._same_since(seen)
        budgeted = ctx.budget.limited and not ctx.local
        if under_way or not (held or budgeted or vain or ctx.troubles.waiting()):
            return False
        return not await self._claims.affordable_left(vain) and self._same_since(seen)

    def _may_soon_be_over(self, pause: Pause) -> bool:
        """Whether the pause's first try is still to come, as far as that can take so long.

        Another pause may hold that try back, or a storage may ask for an hour.
        """
        timing, lasts = self._ctx.timing, self._ctx.clock() - pause.since
        soon = lasts < 2 * (timing.disk_recheck + timing.disk_answer)
        return soon and pause.code in _SOON_OVER and pause.attempts == 1

    async def _left_to_fetch(self, but: set[int]) -> bool:
        """Whether a download is left that can begin, although questions may be held back."""
        ctx = self._ctx
        if not ctx.gate.closed(POLL):
            return await self._claims.left(FETCH, but={*but, *self._lanes[FETCH].hung})
        for job_id in ctx.memory.fresh.keys() - but - {*ctx.troubles.waiting()}:
            job = await ctx.journal.get(job_id)
            if job is None or job.state is not JobState.SEPARATED:
                continue
            if ctx.gate.lets(FETCH, job.inbox):
                return True
        return False

    async def _try_decides(self) -> bool:
        """Whether the next try after a fault of ours shows that one song alone is at fault.

        The others passed its step only after its tries had been counted, as they had to be made.
        """
        for job_id, state in self._ctx.memory.unforeseen.overtaken().items():
            job = await self._ctx.journal.get(job_id)
            if job is not None and job.state is state:
                return True
        return False

    def _moves(self) -> tuple[int, int]:
        """Numbers that grow with each step that ends, and each pause that begins or ends."""
        return self._lanes.ended, self._ctx.gate.changes

    def _same_since(self, seen: tuple[int, int]) -> bool:
        """Whether no step began or ended, and no pause, since `_moves` was `seen`.

        While the journal answers, a song may move on, so that no query sees it. A pause may end, so
        that what it held goes on.
        """
        return not self._lanes.busy and self._moves() == seen
