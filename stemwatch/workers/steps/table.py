"""The step of each lane, begun only where its result has somewhere to go."""

from __future__ import annotations

from collections.abc import Mapping

from stemwatch.codes import CONFIRM, FETCH, FILE, POLL, SUBMIT, UNPACK
from stemwatch.job import Job, JobState
from stemwatch.journal.journal import OverBudget
from stemwatch.journal.sorting import NOT_SERVED
from stemwatch.log import log
from stemwatch.workers.context import Context, Step
from stemwatch.workers.pacing.rehearsal import demand_staging
from stemwatch.workers.steps.asked_back import asked_back
from stemwatch.workers.steps.confirm import reconcile
from stemwatch.workers.steps.fetch import fetch
from stemwatch.workers.steps.filing import file
from stemwatch.workers.steps.follow import follow
from stemwatch.workers.steps.own_trouble import demand
from stemwatch.workers.steps.reuse import ended, reuse
from stemwatch.workers.steps.submit import submit
from stemwatch.workers.steps.unpack import unpack


async def _submit_or_reuse(ctx: Context, job: Job) -> Job:
    alike = await ended(ctx, job)
    delivered = await reuse(ctx, job, alike)
    if delivered is not None:
        return delivered
    # A song that was queued while another wire was configured met only that wire's limits.
    if job.duration is not None and (refused := ctx.api.limits.of_audio(job.duration)) is not None:
        raise refused
    if alike and not ctx.local:
        await _demand_budget(ctx, job)
    began = ctx.clock()
    separating = await submit(ctx, job, alike)
    ctx.gate.accepted(began)
    return separating


async def _demand_budget(ctx: Context, job: Job) -> None:
    """Raise OverBudget before the upload of a song whose earlier stems are gone, not behind it.

    It was claimed because they seemed to be there, and would be claimed again at once, without end.
    """
    seconds = job.duration or 0.0
    ctx.memory.to_be_paid[job.id] = (job.content_key, seconds)
    left = await ctx.budget.affordable(ctx.journal, ctx.now(), job.inbox)
    if left is not None and seconds > left:
        raise OverBudget("its earlier stems are gone, and too few minutes are left.")


def _placed(step: Step) -> Step:
    """`step`, begun only while the disks for its results are there and their folder takes files."""

    async def begin(ctx: Context, job: Job) -> Job:
        await ctx.place_of(job).demand_results()
        await demand(ctx, job)
        return await step(ctx, job)

    return begin


def _staged(step: Step) -> Step:
    """`_placed`, for a step whose results are made in the outbox's staging."""

    async def begin(ctx: Context, job: Job) -> Job:
        await demand_staging(ctx.place_of(job))
        return await step(ctx, job)

    return _placed(begin)


def _served(step: Step) -> Step:
    """`step` for a waiting song, which is let go where its inbox is not configured any more.

    The start lets go of such songs too, but one may begin to wait later: a submission that turns
    out not to have been taken, or a song that `retry` had asked for.
    """

    async def begin(ctx: Context, job: Job) -> Job:
        if ctx.serves(job):
            return await step(ctx, job)
        gone = await ctx.journal.advance(job, JobState.GONE, NOT_SERVED)
        log.info("job.gone", **job.named, reason=NOT_SERVED)
        return gone

    return begin


async def _file(ctx: Context, job: Job) -> Job:
    """File the original, unless `retry` asked for it: that comes before a look at the folder."""
    return await asked_back(ctx, job) or await _placed(file)(ctx, job)


STEPS: Mapping[str, Step] = {
    FILE: _file,
    FETCH: _staged(fetch),
    POLL: follow,
    CONFIRM: reconcile,
    UNPACK: _served(_staged(unpack)),
    SUBMIT: _served(_staged(_submit_or_reuse)),
}
