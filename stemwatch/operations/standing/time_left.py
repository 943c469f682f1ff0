"""Estimates how long the songs under way will take, from the pace of the last ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from stemwatch.job import Job, JobState
from stemwatch.journal.past import Ended
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.workers import progress

WAITING = 100  # songs that wait for another try, at most
PAST = 20  # the last songs, by which the pace is measured
_ENOUGH = 5  # of at least so many, the slowest is left out: it may include a night or a pause


async def remaining(
    journal: ReadOnlyJournal,
    running: Sequence[Mapping[str, Any]],
    left: float | None,
    past: Sequence[Ended] | None = None,
    *,
    now: float,
    held: int | None = None,
) -> dict[str, Any] | None:
    """What is not delivered yet: songs, audio_minutes, seconds (about, None: not known).

    None: nothing is. `running` is as in `audio_left`, `past` as in `pace` (None: it is looked up);
    `left` are the minutes that the budget still allows, None for no limit; `now` is in Unix
    seconds. `held` songs have to wait for the budgets (None: `left` tells how many). Where no song
    can go on now, nobody knows how long it takes.
    """
    started, songs, queued = await journal.open_audio()
    if not started and not songs:
        return None
    waiting = [job for job in await journal.waiting(now, WAITING) if job.owner is None]
    if held is None:
        held = 0 if left is None else await journal.held_by_budget(left * 60.0)
    going_on = _going_on(started, songs - held, waiting, left)
    queued = queued if left is None else min(queued, left * 60.0)
    if past is None:
        past = await journal.ended(JobState.DELIVERED, limit=PAST + 1)
    audio, speed = audio_left(started, queued, running), pace(past)
    return {
        "songs": len(started) + songs,
        "audio_minutes": round(audio / 60.0, 2),
        "seconds": math.ceil(audio * speed) if going_on and speed is not None else None,
    }


def _going_on(
    started: Mapping[int, float], allowed: int, waiting: Sequence[Job], left: float | None
) -> bool:
    """Whether a song can go on now: `allowed` queued ones may by the budget; some are `waiting`."""
    if started.keys() - {job.id for job in waiting}:
        return True
    most = math.inf if left is None else left * 60.0
    queued = (job for job in waiting if job.state is JobState.QUEUED)
    return allowed > sum((job.duration or 0.0) <= most for job in queued)


def pace(past: Sequence[Ended]) -> float | None:
    """Seconds from drop to delivery per second of audio, at the present parallelism; or None.

    `past` holds the last deliveries, newest first. A song's time is counted from the delivery
    before it, or from its own drop if that came later: so three songs in parallel count as three
    times as fast. None: the pace is not known.
    """
    # One that was read back from its sidecar was never seen to come: it would have taken no time.
    mine = [
        one
        for one in past
        if one.job.origin == "inbox" and not one.note and one.at != one.job.created_at
    ]
    took = []
    for one, before in zip_longest(mine[:PAST], mine[1 : PAST + 1]):
        begin = one.job.created_at if before is None else max(before.at, one.job.created_at)
        took.append((max(0.0, one.at - begin), one.job.duration or 0.0))
    if len(took) >= _ENOUGH:
        took.remove(max(took))
    audio = sum(seconds for _, seconds in took)
    return sum(gap for gap, _ in took) / audio if audio > 0 else None


def audio_left(
    started: Mapping[int, float], queued: float, running: Sequence[Mapping[str, Any]]
) -> float:
    """Seconds of audio that remain, without the finished share of the songs under way.

    `started` holds the seconds of each submitted song by its id, `queued` the seconds of all songs
    that may still be submitted. The entries of `running` are as `progress.Running`.
    """
    stages = {entry.get("id"): entry for entry in running}
    return queued + sum(
        seconds * _open_share(stages.get(number)) for number, seconds in started.items()
    )


def _open_share(entry: Mapping[str, Any] | None) -> float:
    """The share of a song's time that remains. As a rule, most of it is the separation."""
    if entry is None or entry.get("stage") in (progress.PREPARING, progress.UPLOAD):
        return 1.0
    if entry.get("stage") != progress.SEPARATING:
        return 0.1
    total, done = float(entry.get("total") or 0.0), float(entry.get("done") or 0.0)
    return max(0.1, 1.0 - done / total) if total else 1.0
