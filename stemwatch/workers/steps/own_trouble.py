"""Tells one song's or one folder's own trouble from a trouble that concerns everybody.

Everybody's pause ends by a look at the place (a probe). A song that meets it again although the
place is well has a trouble of its own: it waits alone, and wakes as soon as its folder is well.
"""

from __future__ import annotations

from collections.abc import Collection

from stemwatch.codes import Code
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService, RetryLater, StemwatchError
from stemwatch.job import TO_BE_FILED, Job, JobState
from stemwatch.log import log
from stemwatch.outbox.mirroring import mirrored
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.rehearsal import Rehearsal
from stemwatch.workers.pacing.troubles import Met, Trouble
from stemwatch.workers.steps.deliver import parent_of

_PATIENT_TRIES = 20  # a quarter of an hour
# What a song waits for whose folder or disk is well again.
_WAKES = tuple(code for code in Code if code.rule.by_folder)


def pauses_met(ctx: Context, job: Job, code: str) -> int:
    """In how many pauses of this kind the song has been, one after another, this one included.

    A real outage is met once, by those that were on their way, and is not over in between.
    """
    before = ctx.troubles.met.get(job.id)
    if before is None or (before.code, before.state) != (code, job.state) or code == Code.JOURNAL:
        return 1
    since = ctx.gate.since(code, job.inbox)
    return before.times + (since is None or since != before.since)


def times_met(ctx: Context, job: Job, code: str) -> int:
    """How often in a row the song has met this in its present state, this time included."""
    before = ctx.troubles.met.get(job.id)
    same = before is not None and (before.code, before.state) == (code, job.state)
    times = before.times + 1 if same and before is not None else 1
    ctx.troubles.met[job.id] = Met(code, job.state, None, times)
    return times


async def blocked_gap(ctx: Context, job: Job, fault: RetryLater, seconds: float) -> float:
    """How long a song waits that a person has to make way for; `seconds` where no look can tell.

    It is paid for, so it is never given up; but nobody waits for the end of that.
    """
    if await watch(ctx, job):
        return ctx.timing.retry_after_max
    ctx.troubles.alone[job.id] = str(fault)
    return seconds


async def is_its_own(ctx: Context, job: Job, code: str, times: int) -> bool:
    """Whether a pause of the disk would hold everybody for this song's or its folder's sake.

    The first time it is everybody's, until the next look: a disk that begins to fail may still
    take the small file of a rehearsal, and what is bought meanwhile would have nowhere to go.
    """
    if code != Code.DISK:
        return False
    if _trouble(ctx, job) is not None:
        return True
    if times < 2:
        return False
    place = ctx.place_of(job)
    try:
        await rehearsal(ctx, place).of_place(place)
    except StemwatchError:
        return False
    return True


async def own_gap(ctx: Context, job: Job, fault: PauseService, times: int) -> float:
    """Seconds that the song waits by itself, unless it is woken."""
    if fault.code == Code.DISK:
        if await watch(ctx, job):
            return ctx.timing.retry_after_max
        ctx.troubles.alone[job.id] = str(fault)
    timing = ctx.timing
    if not fault.rule.one_inbox:  # a try is a whole upload
        return timing.unreadable_gap
    # What no rehearsal shows may be over in a moment, but each try may cost a download.
    longest = min(timing.outage_max, timing.disk_recheck * (times - 1))
    return min(longest * 2.0 ** min(max(0, times - _PATIENT_TRIES), 9), timing.retry_after_max)


async def watch(ctx: Context, job: Job) -> bool:
    """Whether the folder that the song's next step goes to takes nothing.

    Then the song is woken (its `not_before` is cleared) within `disk_recheck` seconds of its end.
    Write the song's own time right after this, with no `await` between: a wake must come later.
    """
    trouble, target = _trouble(ctx, job), _target(ctx, job)
    if trouble is None and target is not None:
        place, (root, folder) = ctx.place_of(job), target
        try:
            await rehearsal(ctx, place).of_folder(place, root, folder)
        except StemwatchError as fault:
            trouble = _begin(ctx, Trouble(place, root, fault, None), folder)
    if trouble is not None:
        trouble.jobs.add(job.id)
    return trouble is not None


def _begin(ctx: Context, found: Trouble, folder: str) -> Trouble:
    """Look at `folder` from now on, and say so once: two songs may find it at the same moment."""
    trouble = ctx.troubles.folders.setdefault(folder, found)
    if trouble is found:
        trouble.due = ctx.clock() + ctx.timing.disk_recheck
        told = {"message": found.fault.message, "hint": found.fault.hint}
        log.warning("folder.refuses", folder=folder, **told)
    return trouble


async def demand(ctx: Context, job: Job) -> None:
    """Raise PauseService(code="disk") if a step is in vain: its folder takes nothing.

    Asked before a song is paid for, and before the stems of one that failed there are fetched anew.
    An original that is to be moved meets the folder's own fault: `status` names it, unchanged.
    """
    ctx.troubles.tries(job.id)
    if (trouble := _trouble(ctx, job)) is not None:
        if job.state in TO_BE_FILED:
            raise trouble.fault.with_traceback(None)  # else it grows with each song
        raise PauseService(trouble.fault.message, code=Code.DISK, hint=trouble.fault.hint)
    met, target = ctx.troubles.met.get(job.id), _target(ctx, job)
    if met is not None and met.code == Code.DISK and target is not None:
        place = ctx.place_of(job)
        await rehearsal(ctx, place).of_place(place)
        await rehearsal(ctx, place).of_folder(place, *target)


async def look(ctx: Context, folder: str) -> None:
    """See whether `folder` is well again, and wake who waits for it."""
    trouble = ctx.troubles.folders[folder]
    trouble.due = None  # a slow disk takes longer than the gap: nothing else is due meanwhile
    try:
        await _look(ctx, folder, trouble)
    finally:
        trouble.due = ctx.clock() + ctx.timing.disk_recheck
    ctx.bell.wake()  # the pool's next turn sees when the next look is due


async def _look(ctx: Context, folder: str, trouble: Trouble) -> None:
    try:
        if await _is_waited_for(ctx, trouble):
            await rehearsal(ctx, trouble.place).of_place(trouble.place)
            await rehearsal(ctx, trouble.place).of_folder(trouble.place, trouble.root, folder)
        # Before those are woken who wait now: who comes later has a look of its own.
        del ctx.troubles.folders[folder]
        await _wake(ctx, trouble.jobs)
    except StemwatchError:
        ctx.troubles.folders[folder] = trouble
        return
    except Exception as fault:  # ours: whoever waits must not wait for good
        log.error("look.error", folder=folder, exc_info=fault)
        ctx.troubles.folders[folder] = trouble
        return
    log.info("folder.well", folder=folder, songs=len(trouble.jobs))


async def wake_all(ctx: Context) -> None:
    """A disk is well again: songs and originals that wait alone try now, in case it was that."""
    waiting = list(ctx.troubles.alone)
    await ctx.journal.wake(ctx.owner, _WAKES)
    for job_id in waiting:
        ctx.troubles.alone.pop(job_id, None)


async def _wake(ctx: Context, jobs: Collection[int]) -> None:
    """Have these songs tried again now. Raises PauseService for a full journal."""
    await ctx.journal.wake(ctx.owner, _WAKES, list(jobs))


async def _is_waited_for(ctx: Context, trouble: Trouble) -> bool:
    """Whether any of its songs is still to be done: one may have been taken back meanwhile."""
    while trouble.jobs:
        first = next(iter(trouble.jobs))
        job = await ctx.journal.get(first)
        if job is not None and job.state not in (JobState.DONE, JobState.GONE):
            return True
        ctx.troubles.forget(first)
    return False


def rehearsal(ctx: Context, place: Place) -> Rehearsal:
    """That of this place: looks are shared only where they are the same one's."""
    return ctx.troubles.rehearsals.setdefault(
        place.outbox, Rehearsal(ctx.journal.path, place.outbox)
    )


def _trouble(ctx: Context, job: Job) -> Trouble | None:
    target = _target(ctx, job)
    return None if target is None else ctx.troubles.at(target[1])


def _target(ctx: Context, job: Job) -> tuple[str, str] | None:
    """The root, and the folder below it, that the song's next step puts something into."""
    place = ctx.place_of(job)
    if job.state is JobState.DELIVERED:
        root = place.archive if job.origin != "split" else None
    elif job.state is JobState.QUARANTINED:
        root = place.quarantine
    else:
        return job.outbox, parent_of(job)
    return None if root is None else (root, mirrored(root, job.relpath).folder)
