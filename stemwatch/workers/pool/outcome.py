"""Decides what a fault means for its job, for the queue and for the service: the one place."""

from __future__ import annotations

import math

from stemwatch.codes import FILE, Code
from stemwatch.errors import (
    JournalFault,
    PauseService,
    Reject,
    RetryLater,
    StemwatchError,
    TakenBack,
    Unconfirmed,
)
from stemwatch.job import TO_BE_FILED, Job, JobState
from stemwatch.journal.journal import AlreadyPaid, OverBudget, StaleJob
from stemwatch.journal.transactions import ForbiddenTransition, Held
from stemwatch.log import log
from stemwatch.workers import orders
from stemwatch.workers.context import Context
from stemwatch.workers.holding_back import give_time, pause
from stemwatch.workers.pacing.troubles import Met
from stemwatch.workers.pacing.unforeseen import REPORT, judged
from stemwatch.workers.pool import unfiled
from stemwatch.workers.pool.delays import wait_of
from stemwatch.workers.steps import own_fault, own_trouble
from stemwatch.workers.steps.finishing.new_tags import with_new_tags


async def conclude(ctx: Context, job: Job, fault: Exception) -> None:
    """Decide what `fault` means for `job`, and write it to the journal.

    Raises JournalFault, which ends the service, and PauseService where the journal's disk is full.
    """
    if isinstance(fault, JournalFault):
        raise fault
    if isinstance(fault, Held):
        await orders.look(ctx)  # `pause` was quicker than its bell: close the gate too
        return
    if isinstance(fault, StaleJob | AlreadyPaid | OverBudget):
        return  # another process moved the job on, or the next claim sees why it has to wait
    current = await ctx.journal.get(job.id)
    if current is None or current.state in (JobState.DONE, JobState.GONE):
        return  # the inbox or another process ended it
    if isinstance(fault, TakenBack) and current.identity != job.identity:
        return  # it only has new tags, and the inbox has noticed that meanwhile
    unforeseen = ctx.memory.unforeseen
    known = fault if isinstance(fault, StemwatchError) else judged(unforeseen, current, fault)
    try:
        await _conclude(ctx, current, own_fault.judged(ctx, current, known))
    except ForbiddenTransition as ours:
        await _stand_still(ctx, current, ours)


async def _conclude(ctx: Context, current: Job, fault: StemwatchError) -> None:
    if current.state in TO_BE_FILED:
        await _file_later(ctx, current, fault)
    elif fault.code in {TakenBack.code, Code.CHANGED}:
        if current.state is JobState.QUEUED and await with_new_tags(ctx, current) != current:
            return  # a song that was ordered anew would be an ordinary one, which is reused
        # The file that has this name now is another song: the next scan finds it.
        await ctx.journal.advance(current, JobState.GONE, fault.message)
        log.info("job.gone", **current.named, reason=fault.message)
    elif isinstance(fault, Unconfirmed) and _can_be_asked(ctx, current):
        await ctx.insist(lambda: _look_for(ctx, current, fault))
    elif isinstance(fault, Reject):
        if current.state is JobState.SUBMITTING:
            # Until the next start nothing looks at this job again, so the write must not fail.
            await ctx.insist(lambda: reject(ctx, current, fault))
        else:
            await reject(ctx, current, fault)
    elif isinstance(fault, PauseService):
        await _hold(ctx, current, fault)
    else:
        await _retry(ctx, current, _as_retry(fault))


async def _file_later(ctx: Context, job: Job, fault: StemwatchError) -> None:
    """Postpone the move of the original. Its tries have no end: quarantine is no way out here."""
    if not isinstance(fault, PauseService):
        await unfiled.postpone(ctx, job, _as_retry(fault))
        return
    gap = await _own_gap(ctx, job, fault)
    if ctx.gate.closed(FILE, job.inbox) is None:  # else the end of that pause has it tried again
        await unfiled.postpone(ctx, job, fault, ctx.timing.disk_recheck if gap is None else gap)


async def _stand_still(ctx: Context, job: Job, fault: ForbiddenTransition) -> None:
    """Log a forbidden transition, a bug of ours, and keep the job from being claimed at once."""
    log.error("job.error", **job.named, exc_info=fault)
    wait = ctx.timing.retry_after_max
    told = {"code": Code.INTERNAL, "message": f"an unexpected fault: {fault}.", "hint": REPORT}
    await ctx.journal.amend(job, not_before=ctx.now() + wait, **told)
    ctx.polls.postpone(job.id, ctx.clock(), wait)


def _can_be_asked(ctx: Context, job: Job) -> bool:
    """Whether the API's list of jobs may still tell if this submission was accepted."""
    return ctx.api.lists_jobs and job.state is JobState.SUBMITTING and job.code != Code.UNANSWERED


async def _look_for(ctx: Context, job: Job, fault: Unconfirmed) -> None:
    await ctx.journal.amend(
        job,
        not_before=ctx.now() + ctx.timing.confirm_first,
        code=Code.UNANSWERED,
        message=fault.message,
        hint="Nothing to do: the server is asked whether it took the job.",
    )
    log.warning("job.unanswered", **job.named, message=fault.message)


async def _hold(ctx: Context, job: Job, fault: PauseService) -> None:
    """Have everybody wait, or this song alone; only a song's own wait is written to the journal."""
    gap = await _own_gap(ctx, job, fault)
    waits = ctx.timing.disk_recheck if gap is None else gap
    if job.id in ctx.polls:
        ctx.polls.postpone(job.id, ctx.clock(), waits)
    if gap is not None and job.state in own_trouble.LANES:
        told = {"code": fault.code, "message": fault.message}
        # The code of a submission in doubt says whether it was looked for before.
        noted = {} if job.state is JobState.SUBMITTING else {**told, "hint": fault.hint}
        await ctx.journal.amend(job, not_before=ctx.now() + waits, **noted)
        log.info("job.waits", **job.named, **told, seconds=round(waits, 1))


async def _own_gap(ctx: Context, job: Job, fault: PauseService) -> float | None:
    """Pause everybody, unless only this song has to wait. Returns the seconds of its own wait.

    None: the pause holds it back. A song that met such a pause before waits by itself as well:
    being the oldest, it would go on first whenever the gate opens, and close it again.
    """
    times = own_trouble.pauses_met(ctx, job, fault.code)
    own = await own_trouble.is_its_own(ctx, job, fault.code, times)
    on = ctx.gate.since(fault.code, job.inbox) is not None
    if not own:
        if fault.code == Code.DISK:
            times = 1  # the disk is at fault, however often the song met it
        # Pausing again for each song would put off the next probe of the pause that is on.
        if not (on and fault.code in (Code.DISK, Code.ROOM)):
            pause(ctx, fault, job.inbox)
    if fault.code == Code.ROOM and ctx.space.awaited(job.inbox) != job.id:
        if own or on:
            times = max(times, 2)  # it was to pass by the song that the pause waits with
        else:
            ctx.space.wait_with(job)
    since = ctx.gate.since(fault.code, job.inbox)
    ctx.troubles.met[job.id] = Met(fault.code, job.state, since, times)
    if own or times > 1:
        return await own_trouble.own_gap(ctx, job, fault, times)
    return own_trouble.gap_beside(ctx, job, fault)


async def reject(ctx: Context, job: Job, fault: Reject) -> None:
    """Quarantine the job in the journal; the lane FILE moves its file later.

    `job` is the job as it was before the attempt that failed.
    """
    told = {"code": fault.code, "message": fault.message, "hint": fault.hint}
    quarantined = await ctx.journal.advance(
        job,
        JobState.QUARANTINED,
        fault.code,
        http_status=fault.http_status,
        request_id=fault.request_id or job.request_id,
        attempts=job.attempts + 1 if fault.attempts is None else fault.attempts,
        # `split` leaves the user's files where they are
        filed_to=job.path if job.origin == "split" else None,
        **told,
    )
    ctx.slots.release(job.id)
    ctx.polls.done(job.id, ctx.clock(), learn=False)
    log.error("job.quarantined", **job.named, **told, id=quarantined.id)


async def _retry(ctx: Context, job: Job, fault: RetryLater) -> None:
    if fault.code == Code.RATE_LIMITED:
        ctx.counters.rate_limited += 1
        give_time(ctx, fault.message, fault.after)
        if job.state is JobState.SEPARATING:  # the polls were too many: hold all of them
            ctx.polls.hold(ctx.clock() + ctx.gate.seconds_left(Code.RATE_LIMITED))
    if fault.server_down:
        submitting = job.state is JobState.QUEUED
        if ctx.gate.server_failed(fault.message, submitting=submitting, after=fault.after):
            ctx.memory.overtaken.paused()
    # What is waited for without end uses up no tries of a fault that has few: one 404 behind an
    # outage would be the end of a paid job.
    counts = fault.counts and fault.rule.tries < math.inf
    attempts = job.attempts + (1 if counts else 0)
    if _exhausted(fault, attempts):
        await reject(ctx, job, _given_up(job, fault, attempts))
        return
    delay = await wait_of(ctx, job, fault, attempts if counts else None)
    await ctx.journal.amend(
        job,
        attempts=attempts,
        not_before=ctx.now() + delay,
        code=fault.code,
        message=fault.message,
        hint=fault.hint,
        http_status=fault.http_status,
    )
    ctx.polls.postpone(job.id, ctx.clock(), delay)
    log.info(
        "job.waits", **job.named, code=fault.code, message=fault.message, seconds=round(delay, 1)
    )


def _exhausted(fault: RetryLater, attempts: int) -> bool:
    return fault.counts and not fault.server_down and attempts >= fault.rule.tries


def _given_up(job: Job, fault: RetryLater, attempts: int) -> Reject:
    if job.state is JobState.SUBMITTING:  # nothing could tell whether it was accepted
        return Unconfirmed(f"given up after {attempts} attempts: {fault.message}")
    code = Code.JOB_LOST if fault.code == Code.JOB_MISSING else fault.code
    return Reject(
        f"given up after {attempts} attempts: {fault.message}",
        code=code,
        hint=fault.hint or "`stemwatch retry` goes on from where it is; nothing is paid again.",
        http_status=fault.http_status,
        request_id=fault.request_id,
    )


def _as_retry(fault: StemwatchError) -> RetryLater:
    if isinstance(fault, RetryLater):
        return fault
    return RetryLater(fault.message, code=fault.code, hint=fault.hint)
