"""Which songs pass by one that waits for room on the disk.

A long song must not hold back the short ones for which there is room. None passes by while only
what is under way is in its way: it is next.
"""

from __future__ import annotations

from stemwatch.codes import SUBMIT, Code
from stemwatch.disks.space import needed_bytes, results_bytes
from stemwatch.job import Job, Options
from stemwatch.journal.claiming import Fits
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.pause import Pause

LEAST = needed_bytes(0.0, Options())  # of the results of any song


def passing(ctx: Context, lane: str, inbox: str | None) -> int | None:
    """The bytes that the results may take of a song that `lane` takes now; None: any."""
    if ctx.gate.since(Code.ROOM, inbox) is None or lane not in Code.ROOM.rule.holds:
        return None
    room = ctx.space.passing(inbox)
    return room if room >= LEAST else 0


def fitting(most: int | None) -> Fits | None:
    """Whether a song's results take at most `most` bytes; None: that is not asked."""
    return None if most is None else lambda *song: results_bytes(*song) <= most


def held(ctx: Context, inbox: str | None, job: Job | None = None) -> Pause | None:
    """The pause that keeps `job` (None: any song of this inbox) from being submitted, or None."""
    pause = next(iter(ctx.gate.bars(SUBMIT, inbox)), ctx.gate.closed(SUBMIT, inbox))
    if pause is None or not pause.rule.by_size:
        return pause
    needed = LEAST
    if job is not None:
        needed = results_bytes(job.options, job.duration, job.sample_rate, job.at_hand)
    return pause if needed > (passing(ctx, SUBMIT, inbox) or 0) else None
