"""What the journal's history adds up to: how often each state was entered, how long stages took.

Every transition is read once, and only its sum is kept: a scrape costs what happened since the last
one. It begins with the journal's first line, so nothing is lost or counted twice by a restart.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from stemwatch.job import JobState
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.workers.counters import Durations

_SLICE = 1000  # transitions at a time: about a millisecond on the event loop
# Which stage ends when a job comes into the second state, and began when it came into the first.
_STAGES: dict[tuple[str, str], str] = {
    (JobState.SEPARATING, JobState.SEPARATED): "separating",
    (JobState.SEPARATED, JobState.DELIVERED): "download",
}
_BEGINS = frozenset(before for before, _ in _STAGES)


class Ledger:
    """Sums over the history of one journal, up to date after `catch_up`."""

    def __init__(self) -> None:
        self.entered: Counter[str] = Counter()
        self.seconds = {stage: Durations() for stage in _STAGES.values()}
        self._read = 0  # the last row
        self._since: dict[int, tuple[str, float]] = {}  # jobs in a stage that is timed
        self._turn = asyncio.Lock()  # two scrapes at once must not add a row twice

    async def catch_up(self, journal: ReadOnlyJournal) -> None:
        """Add what is new. Raises StemwatchError."""
        async with self._turn:
            while rows := await journal.history_after(self._read, _SLICE):
                self.add(rows)

    def add(self, rows: Iterable[tuple[int, int, float, str]]) -> None:
        """(rowid, job, Unix seconds, state the job came into), in order."""
        for rowid, job, at, state in rows:
            self._read = rowid
            self.entered[state] += 1
            before, since = self._since.pop(job, ("", at))
            if (stage := _STAGES.get((before, state))) is not None:
                self.seconds[stage].add(max(0.0, at - since))  # a clock may be set back
            if state in _BEGINS:
                self._since[job] = (state, at)
