"""Tells one song's or one folder's own trouble from a trouble that concerns everybody.

A pause for everybody ends by a probe of the inbox's folders. A song that meets the fault again,
although those are well, has a trouble of its own: it waits alone, and is woken as soon as its own
folder is well.
"""

from __future__ import annotations

from collections.abc import Mapping

from stemwatch.codes import CONFIRM, FETCH, SUBMIT, Code
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService, RetryLater, StemwatchError
from stemwatch.job import TO_BE_FILED, Job, JobState
from stemwatch.log import log
from stemwatch.outbox.mirroring import mirrored
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.rehearsal import Rehearsal
from stemwatch.workers.pacing.troubles import Met, Trouble
from stemwatch.workers.steps.deliver import parent_of

# The lanes whose songs the journal has wait, by the state of the song.
LANES: Mapping[JobState, str] = {
    JobState.QUEUED: SUBMIT,
    JobState.SUBMITTING: CONFIRM,
    JobState.SEPARATED: FETCH,
}
_PATIENT_TRIES = 20  # tries, about a quarter of an hour, after which the waits double
# The codes of waits that end when a folder or disk is well again.
_WAKES = tuple(code for code in Code if code.rule.by_folder)


def pauses_met(ctx: Context, job: Job, code: str) -> int:
    """How many pauses of this kind the song has met one after another, this one included.

    In a real outage a song meets one pause only: faults of the same pause count once.
    """
    before = ctx.troubles.met.get(job.id)
    if before is None or (before.code, before.state) != (code, job.state) or code == Code.JOURNAL:
        return 1
    since = ctx.gate.since(code, job.inbox)
    return before.times + (since is None or since != before.since)


def times_met(ctx: Context, job: Job, code: str) -> int:
    """How often in a row the song has met this fault in its present state, this time included."""
    before = ctx.troubles.met.get(job.id)
    same = before is not None and (before.code, before.state) == (code, job.state)
    times = before.times + 1 if same and before is not None else 1
    ctx.troubles.met[job.id] = Met(code, job.state, None, times)
    return times


async def blocked_gap(ctx: Context, job: Job, fault: RetryLater, seconds: float) -> float:
    """Seconds that a song waits whose folder a person has to clear, or to let be read.

    A watched folder wakes the song, so the wait is long; where no look at a folder can tell, it is
    `seconds`. The song is never given up, and `run --once` does not wait for it.
    """
    if await watch(ctx, job):
        return ctx.timing.retry_after_max
    ctx.troubles.alone[job.id] = str(fault)
    return seconds


async def is_its_own(ctx: Context, job: Job, code: str, times: int) -> bool:
    """Whether only this song or its folder is in trouble, and a pause of the disk would be wrong.

    The first time the answer is no: a disk that begins to fail may still take the small file of a
    rehearsal, and stems that are paid for meanwhile would have nowhere to go.
    """
    if code not in (Code.DISK, Code.ROOM):
        return False
    place = ctx.place_of(job)
    # An outbox of an earlier configuration holds back nobody else.
    if place is not ctx.places.get(job.inbox):
        return True
    if code == Code.ROOM:
        return False
    if _trouble(ctx, job) is not None:
        return True
    if times < 2:
        return False
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
    if not fault.rule.one_inbox:  # each try costs a whole upload
        return timing.unreadable_gap
    # A fault that no rehearsal shows may be over in a moment, but each try may cost a download.
    longest = min(timing.outage_max, timing.disk_recheck * (times - 1))
    return min(longest * 2.0 ** min(max(0, times - _PATIENT_TRIES), 9), timing.retry_after_max)


def gap_beside(ctx: Context, job: Job, fault: PauseService) -> float | None:
    """Seconds that the song waits beside a pause that leaves its lane open; None: it is held.

    It would be tried again at once, and again, and use up the requests of everybody.
    """
    lane = LANES.get(job.state)
    if lane is None or lane in fault.rule.holds:
        return None
    return max(ctx.timing.disk_recheck, ctx.gate.seconds_left(fault.code))


async def watch(ctx: Context, job: Job) -> bool:
    """Whether the folder that the song's next step writes to refuses files; if so, watch it.

    Within `disk_recheck` seconds after the folder is well, the song is woken: its `not_before` is
    cleared. Write that `not_before` right after this call, with no `await` between, so that the
    wake can't come first.
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
    """Watch `folder` from now on, and log that once: two songs may meet it at the same moment."""
    trouble = ctx.troubles.folders.setdefault(folder, found)
    if trouble is found:
        trouble.due = ctx.clock() + ctx.timing.disk_recheck
        told = {"message": found.fault.message, "hint": found.fault.hint}
        log.warning("folder.refuses", folder=folder, **told)
    return trouble


async def demand(ctx: Context, job: Job) -> None:
    """Raise PauseService(code="disk") if the job's next step would fail because of its folder.

    It is called before a song is paid for, and before stems are fetched again that failed there.
    For an original that is to be moved, raises the folder's own fault, which `status` shows.
    """
    ctx.troubles.tries(job.id)
    if (trouble := _trouble(ctx, job)) is not None:
        if job.state in TO_BE_FILED:
            raise trouble.fault.with_traceback(None)  # or its traceback grows with each song
        raise PauseService(trouble.fault.message, code=Code.DISK, hint=trouble.fault.hint)
    met, target = ctx.troubles.met.get(job.id), _target(ctx, job)
    if met is not None and met.code == Code.DISK and target is not None:
        place = ctx.place_of(job)
        await rehearsal(ctx, place).of_place(place)
        await rehearsal(ctx, place).of_folder(place, *target)


async def look(ctx: Context, folder: str) -> None:
    """See whether `folder` is well again, and wake the jobs that wait for it."""
    trouble = ctx.troubles.folders[folder]
    trouble.due = None  # no second look meanwhile: on a slow disk one takes longer than the gap
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
        # Deleted before the waiting jobs are woken: a job that comes later begins a watch anew.
        del ctx.troubles.folders[folder]
        await ctx.journal.wake(ctx.owner, _WAKES, list(trouble.jobs))
    except StemwatchError:
        _watch_again(ctx, folder, trouble)
        return
    except Exception as fault:  # a bug of ours must not have the jobs wait for good
        log.error("look.error", folder=folder, exc_info=fault)
        _watch_again(ctx, folder, trouble)
        return
    log.info("folder.well", folder=folder, songs=len(trouble.jobs))


def _watch_again(ctx: Context, folder: str, trouble: Trouble) -> None:
    """Have its jobs wait on, beside those that met the folder while these were to be woken."""
    ctx.troubles.folders.setdefault(folder, trouble).jobs.update(trouble.jobs)


async def wake_all(ctx: Context) -> None:
    """A disk is well again: wake the songs and originals that wait alone, in case it was theirs."""
    waiting = list(ctx.troubles.alone)
    await ctx.journal.wake(ctx.owner, _WAKES)
    for job_id in waiting:
        ctx.troubles.alone.pop(job_id, None)


async def _is_waited_for(ctx: Context, trouble: Trouble) -> bool:
    """Whether any of the waiting jobs is still open: one may have been taken back meanwhile."""
    while trouble.jobs:
        first = next(iter(trouble.jobs))
        job = await ctx.journal.get(first)
        if job is not None and job.state not in (JobState.DONE, JobState.GONE):
            return True
        ctx.troubles.forget(first)
    return False


def rehearsal(ctx: Context, place: Place) -> Rehearsal:
    """The rehearsal of this place's outbox; its calls are shared by all songs of that outbox."""
    return ctx.troubles.rehearsals.setdefault(
        place.outbox, Rehearsal(ctx.journal.path, place.outbox)
    )


def _trouble(ctx: Context, job: Job) -> Trouble | None:
    target = _target(ctx, job)
    return None if target is None else ctx.troubles.at(target[1])


def _target(ctx: Context, job: Job) -> tuple[str, str] | None:
    """The root, and the folder below it, that the job's next step writes to; None if none."""
    place = ctx.place_of(job)
    if job.state is JobState.DELIVERED:
        root = place.archive if job.origin != "split" else None
    elif job.state is JobState.QUARANTINED:
        root = place.quarantine
    else:
        return job.outbox, parent_of(ctx, job)
    return None if root is None else (root, mirrored(root, job.relpath).folder)
