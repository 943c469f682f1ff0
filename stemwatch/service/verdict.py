"""The exit code of `run --once`, and the log lines that say what is left and why."""

from __future__ import annotations

import time

from stemwatch.codes import Code
from stemwatch.job import UNDER_WAY, JobState
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.log import log
from stemwatch.operations.words import counted
from stemwatch.service.inboxes import AllServed
from stemwatch.workers.context import Context

UNFINISHED, QUARANTINED = 1, 3
_NAMED = 100  # songs, one by one; `status` lists as many
_LEFT = (JobState.QUEUED, *UNDER_WAY)


async def verdict(
    context: Context, inboxes: AllServed, *, since: float, looked: bool, missed: bool
) -> int:
    """Return the exit code, and log what is left. Songs of a `split` don't count.

    `since`: the start, Unix seconds; `looked`: whether all files found came into the journal, but
    for those that could not be taken in, if there were such: `missed`.
    """
    unfiled = await _tell_unfiled(context)
    counts = await context.journal.active(own=True)
    waiting, unreadable = sum(counts[state] for state in _LEFT), len(inboxes.unreadable)
    if waiting or unreadable or inboxes.away or missed or not looked:
        for held in context.gate.pauses:
            log.error("service.held", reason=held.code, message=held.message, hint=held.hint)
        if waiting and context.budget.limited and not context.local:
            await _tell_budget(context, inboxes)
        message = _left(waiting + unreadable, looked=looked, missed=missed)
        log.error("service.unfinished", waiting=waiting, unreadable=unreadable, message=message)
        return UNFINISHED
    quarantined = await context.journal.changed_since(JobState.QUARANTINED, since)
    return QUARANTINED if quarantined or unfiled else 0


def _left(songs: int, *, looked: bool, missed: bool) -> str:
    if not looked:
        return "stopped before all of the inbox was looked at"
    # Missed files are still in the inbox, and in no count.
    uncounted = "files in the inbox that could not be taken in"
    if missed and not songs:
        return f"still to do: {uncounted}"
    return f"{counted(songs, 'song')} still to do" + (f", and {uncounted}" if missed else "")


async def _tell_unfiled(context: Context) -> bool:
    """Log the songs whose original could not be moved; returns whether there are any."""
    journal = ReadOnlyJournal(context.journal.path)
    try:
        jobs = await journal.unfiled(_NAMED)
    finally:
        journal.close()
    for job in jobs:
        code, message, hint, _ = job.unfiled or ("", "", "", 0)
        log.error("service.unfiled", **job.named, reason=code, message=message, hint=hint)
    return bool(jobs)


async def _tell_budget(context: Context, inboxes: AllServed) -> None:
    """Log for each inbox the limit that holds songs back, and until when."""
    journal = ReadOnlyJournal(context.journal.path)
    try:
        for served in inboxes.every:
            left = await context.budget.left(journal, context.now(), served.name)
            if left.minutes is None:
                continue
            if files := await journal.held_by_budget(left.minutes * 60.0, served.name):
                until = time.strftime("%Y-%m-%d %H:%M", time.localtime(left.until))
                log.error(
                    "service.held",
                    reason=Code.BUDGET,
                    message=f"{left.key} leaves {left.minutes:.2f} minutes until {until}, "
                    f"too few for {counted(files, 'song')}.",
                    hint=f"Raise {left.key}, or run it again then.",
                )
    finally:
        journal.close()
