"""Has the next song prepared while another uploads: the line never waits for the encoder."""

from __future__ import annotations

from stemwatch.codes import SUBMIT
from stemwatch.job import JobState
from stemwatch.workers.context import Context
from stemwatch.workers.pool.claims import Claims
from stemwatch.workers.pool.lanes import Lanes
from stemwatch.workers.preparing.choice import choice
from stemwatch.workers.preparing.encoding import make


class PreparingAhead:
    """Looks for the next song in the pool's turns; at most one is ahead."""

    def __init__(self, ctx: Context, lanes: Lanes, claims: Claims) -> None:
        self._ctx = ctx
        self._lane = lanes[SUBMIT]
        self._claims = claims
        self._uploads: frozenset[int] = frozenset()  # those of the last look for a song

    async def look(self, *, everything: bool) -> None:
        """Begin the next song's preparation where none is ahead; `everything`: look in any case.

        What is ahead is dropped once its song is no longer to be sent: a person took it back.
        """
        ahead = self._ctx.preparing.ahead
        if ahead is None:
            await self._begin(everything=everything)
        elif everything and ahead not in self._lane.tasks:
            job = await self._ctx.journal.get(ahead)
            if job is None or job.state is not JobState.QUEUED:
                await self._ctx.preparing.drop()

    async def _begin(self, *, everything: bool) -> None:
        ctx, uploads = self._ctx, frozenset(self._lane.tasks)
        # The same question after each turn would cost a query each: most songs need no preparation.
        if not uploads or (uploads == self._uploads and not everything):
            return
        self._uploads = uploads
        job = await self._claims.first(SUBMIT, busy=uploads, working=[*self._lane.jobs.values()])
        # The lane may have begun it while the journal answered, and a drop may have been awaited.
        if job is None or job.id in self._lane.tasks or ctx.preparing.ahead is not None:
            return
        if (chosen := choice(ctx, job)) is not None:
            ctx.preparing.begin(job, make(ctx, job, chosen))
