"""submitting -> separating or queued: finds out whether an unanswered submission was accepted.

Where the API lists its jobs, the list is searched for the submission. If it is there, the job is
adopted. If it is absent twice, some time apart since a request may still be under way, the song is
submitted again, unless that ends so each time while others are taken.
"""

from __future__ import annotations

from stemwatch.codes import Code
from stemwatch.errors import RetryLater, Unconfirmed
from stemwatch.job import Job
from stemwatch.log import log
from stemwatch.workers.context import Context
from stemwatch.workers.progress import SEPARATING
from stemwatch.workers.steps.own_fault import not_taken
from stemwatch.workers.steps.submit import confirm


async def reconcile(ctx: Context, job: Job) -> Job:
    """Search the API's list once. Returns the job as `separating` or `queued`.

    Raises RetryLater where a second search is needed, Unconfirmed where no search is possible, and
    Reject where this song alone is not taken, again and again.
    """
    if job.idempotency_key is None:
        raise Unconfirmed("the journal holds no key to look for it with.")
    await ctx.requests.take()
    since = job.submitted_at or job.created_at
    found = await ctx.api.find_submission(job.idempotency_key, since=since)
    if found is not None:
        log.info("job.found", **job.named, remote_id=found.remote_id)
        separating = await confirm(ctx, job, found)
        # The upload gave its reservation back, or belonged to an earlier run.
        ctx.space.reserve(separating)
        ctx.slots.hold(job.id)
        ctx.progress.stage(job.id, job.name, SEPARATING, ctx.polls.estimate.typical)
        ctx.polls.resumed(job.id, ctx.clock(), remote_id=found.remote_id)
        return separating
    if job.code != Code.NOT_LISTED:
        raise RetryLater(
            "the server's list has no job from this submission; it is looked for once more.",
            code=Code.NOT_LISTED,
            after=ctx.timing.confirm_again,
            counts=False,
        )
    log.info("job.not_taken", **job.named)
    queued = await ctx.insist(lambda: ctx.journal.take_back(job, Code.NOT_LISTED))
    if (fault := not_taken(ctx, job)) is not None:
        raise fault
    return queued
