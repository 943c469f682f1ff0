"""Has the next song prepared while another uploads: the line never waits for the encoder."""

from __future__ import annotations

import asyncio
import os

from stemwatch.audio.preparing.plans import Plan
from stemwatch.codes import SUBMIT
from stemwatch.errors import Reject, TakenBack
from stemwatch.job import Identity, Job, JobState
from stemwatch.workers.context import Context
from stemwatch.workers.one_ahead import Made
from stemwatch.workers.pool.choosing.claims import Claims
from stemwatch.workers.pool.lanes import Lanes
from stemwatch.workers.preparing.choice import choice
from stemwatch.workers.preparing.encoding import make
from stemwatch.workers.progress import PREPARING


class PreparingAhead:
    """Looks for the next song in the pool's turns; at most one is ahead."""

    def __init__(self, ctx: Context, lanes: Lanes, claims: Claims) -> None:
        self._ctx = ctx
        self._lane = lanes[SUBMIT]
        self._claims = claims
        # The uploads beside which the next song was found to need no preparation.
        self._needless: frozenset[int] = frozenset()

    async def look(self, *, everything: bool) -> None:
        """Begin the next song's preparation where none is ahead; `everything`: look in any case.

        What is ahead is dropped once its song is no longer to be sent.
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
        # The same question in each turn would cost a query each: most songs need no preparation.
        if not uploads or (uploads == self._needless and not everything):
            return
        if any(self._waits_for_its_form(job) for job in self._lane.jobs.values()):
            return  # the one encoder is for that song first: the line stands idle until it is done
        job = await self._claims.first(SUBMIT, busy=uploads, working=[*self._lane.jobs.values()])
        # The lane may have begun it while the journal answered, a drop may have been awaited, and
        # the pool may stop: what begins after its last drop would outlive the helpers.
        if job is None or job.id in self._lane.tasks or ctx.preparing.ahead is not None:
            return
        if ctx.preparing.closed:
            return
        chosen = _choice(ctx, job)
        if chosen is None:
            self._needless = uploads
        else:
            ctx.preparing.begin(job, _made(ctx, job, chosen))

    def _waits_for_its_form(self, job: Job) -> bool:
        """Whether this upload has sent nothing yet, since its own FLAC is to be made."""
        shown = self._ctx.progress.running.get(job.id)
        begun = shown is not None and shown.stage != PREPARING
        return not begun and _choice(self._ctx, job) is not None


async def _made(ctx: Context, job: Job, chosen: Plan) -> Made:
    """The song's FLAC. TakenBack, and nothing is kept, if the file was changed meanwhile."""
    made = await make(ctx, job, chosen)
    try:
        there = Identity.of(await asyncio.to_thread(os.lstat, job.path))
        if not ctx.place_of(job).same(there, job.identity):
            raise TakenBack(f"{job.name} was changed while it was prepared.")
    except BaseException:  # a cancel, or there is no such file
        made.close()
        raise
    return made


def _choice(ctx: Context, job: Job) -> Plan | None:
    """What is to be made of the song; None too where it is refused, which its submission tells."""
    try:
        chosen = choice(ctx, job)
    except Reject:
        return None
    return None if chosen.form == "original" else chosen
