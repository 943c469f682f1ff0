"""separating -> separated: polls the remote job once."""

from __future__ import annotations

from stemwatch.codes import POLL, Code
from stemwatch.errors import Reject
from stemwatch.job import CLEARED, Job, JobState
from stemwatch.log import log
from stemwatch.stemsplit.interface import RemoteStatus
from stemwatch.workers.context import Context


async def follow(ctx: Context, job: Job) -> Job:
    """Poll the job once. Returns it as `separated` if it is done, else still `separating`.

    Raises Reject where the separation failed or the server lost the job; RetryLater; PauseService.
    """
    if job.remote_id is None:
        raise Reject("the journal holds no remote id for it.", code=Code.JOB_LOST)
    await ctx.requests.take()
    began = ctx.clock()
    remote = await ctx.api.job(job.remote_id, stems=job.options.stems)
    ctx.progress.separated_by(remote.engine, remote.device)
    now = ctx.clock()
    ctx.memory.overtaken.served(POLL, began, job.id)
    if remote.status is RemoteStatus.RUNNING:
        if job.attempts or job.code:  # a good answer ends what failed in a row
            job = await ctx.journal.amend(job, attempts=0, **CLEARED)
        return _still_running(ctx, job, remote.progress, now)
    ctx.polls.over(job.id)
    ctx.slots.release(job.id)  # before the journal's write, which a slow disk delays
    if remote.status is RemoteStatus.FAILED:
        ctx.polls.done(job.id, now, learn=False)
        raise Reject(
            f"the separation failed: {remote.error or 'no reason was given'}.",
            code=Code.SEPARATION_FAILED,
            hint="`stemwatch retry` submits it again (and it is charged again if this was).",
        )
    ctx.memory.fresh[job.id] = remote  # before the write: its download may begin right after that
    separated = await ctx.journal.advance(
        job,
        JobState.SEPARATED,
        completed_at=ctx.now(),
        bpm=remote.bpm,
        key=remote.key,
        heard=remote.heard,
        engine=remote.engine or "stemsplit",
        model=remote.model,
        model_sha256=remote.model_sha256,
        credits=remote.credits,
        attempts=0,
        not_before=0.0,
        **CLEARED,
    )
    ctx.polls.done(job.id, now, learn=job.code is None)
    ctx.memory.reported_late.discard(job.id)
    return separated


def _still_running(ctx: Context, job: Job, progress: float | None, now: float) -> Job:
    """Plan the next poll of a running job, and report it once when it is late. Returns the job.

    A late job is paid for, so it is polled, more rarely, for as long as the server keeps results;
    a job that the server forgot gets a 404. Raises Reject after that time. A running job is never
    paid for again.
    """
    if is_overdue(ctx, job, ctx.polls.elapsed(job.id, now)):
        raise Reject(
            "the server has not finished it within the time it keeps results.",
            code=Code.OVERDUE,
            hint="Ask StemSplit's support about the job; `stemwatch retry` asks for it again and "
            "pays nothing.",
        )
    ctx.polls.running(job.id, now)
    report_if_late(ctx, job)
    entry = ctx.progress.running.get(job.id)
    if entry is not None:
        typical = ctx.polls.estimate.typical
        entry.total = typical
        entry.done = ctx.polls.elapsed(job.id, now)
        if progress is not None:
            entry.done, entry.total = progress, 1.0
        ctx.progress.touch()
    return job


def report_if_late(ctx: Context, job: Job) -> None:
    """Report a job once that has been at the server for longer than its deadline."""
    if _age(ctx, job) > ctx.polls.late_after and job.id not in ctx.memory.reported_late:
        ctx.memory.reported_late.add(job.id)
        log.warning("job.late", **job.named, remote_id=job.remote_id, still_waited_for=True)


def is_overdue(ctx: Context, job: Job, seen: float) -> bool:
    """Whether the server no longer keeps the job's results, if it ever had any.

    The job's age is by the wall clock, which may have been weeks behind at the submission. So this
    run must have `seen` the job late as well, for so many seconds.
    """
    return _age(ctx, job) > ctx.timing.retention and seen > ctx.polls.late_after


def _age(ctx: Context, job: Job) -> float:
    return ctx.now() - (job.submitted_at or job.created_at)
