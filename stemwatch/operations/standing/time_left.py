"""Estimates how long the songs under way will take, from the pace of the last ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from stemwatch.journal.past import Ended
from stemwatch.workers import progress

PAST = 20  # songs that the pace is measured by
_ENOUGH = 5  # of so many, the one that took longest is left out: a night, a pause


def pace(past: Sequence[Ended]) -> float | None:
    """Seconds that a second of audio takes from drop to delivery, with all that goes on at once.

    `past`: the last deliveries, newest first. Each is counted from the one before it, or from its
    own drop where that came later: so three at a time are three times as fast. None: not known.
    """
    mine = [one for one in past if one.job.origin == "inbox" and not one.note]
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
    """Seconds of audio that are still to be done, less what is done of those under way.

    `started`: seconds of each song that is submitted, by its id. `queued`: of all that may still be
    submitted. `running`: as `progress.Running`.
    """
    stages = {entry.get("id"): entry for entry in running}
    return queued + sum(
        seconds * _open_share(stages.get(number)) for number, seconds in started.items()
    )


def _open_share(entry: Mapping[str, Any] | None) -> float:
    """Most of a song's time is its separation, as a rule."""
    if entry is None or entry.get("stage") == progress.UPLOAD:
        return 1.0
    if entry.get("stage") != progress.SEPARATING:
        return 0.1
    total, done = float(entry.get("total") or 0.0), float(entry.get("done") or 0.0)
    return max(0.1, 1.0 - done / total) if total else 1.0
