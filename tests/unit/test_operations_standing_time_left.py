"""How long it will take, by how long the last songs took."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from stemwatch.job import Job, JobState
from stemwatch.journal.journal import Journal
from stemwatch.journal.past import Ended
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.operations.standing.time_left import audio_left, pace, remaining
from tests.support.commands import a_job


def done(at: float, created: float, *, note: str = "", origin: str = "inbox") -> Ended:
    job = a_job("a.mp3", duration=200.0, created_at=created, origin=origin)
    return Ended(job, at, note, 3.3, 0.3)


def test_songs_that_are_under_way_together_are_so_much_faster() -> None:
    """Ten dropped at once, one delivered every 20 s: a tenth of a second for a second of audio."""
    batch = [done(1000.0 + 20.0 * n, 980.0) for n in range(10)]
    assert pace(batch[::-1]) == pytest.approx(0.1)


def test_a_single_song_takes_what_it_takes() -> None:
    """From its drop to its delivery, not from the delivery of the day before."""
    assert pace([done(90_050.0, 90_000.0), done(1000.0, 950.0)]) == pytest.approx(50 / 200)


def test_one_long_wait_says_nothing_of_the_pace() -> None:
    """A night's pause in a batch is left out; songs of before it still count."""
    batch = [done(1000.0 + 20.0 * n + (30_000 if n >= 5 else 0), 980.0) for n in range(10)]
    assert pace(batch[::-1]) == pytest.approx(0.1)


def test_what_was_used_again_or_split_is_no_measure() -> None:
    """Nothing was separated, or by another process."""
    again, split = done(2.0, 1.0, note="reused from A"), done(3.0, 1.0, origin="split")
    assert pace([split, again]) is None
    assert pace([done(90.0 - n, 90.0 - n) for n in range(20)]) is None  # read back from sidecars
    assert pace([]) is None


def test_a_song_that_is_half_through_counts_half() -> None:
    """Uploads count whole, downloads hardly; what nobody shows counts whole."""
    running = [
        {"id": 1, "stage": "separating", "done": 30.0, "total": 60.0},
        {"id": 2, "stage": "upload", "done": 9e6, "total": 9e6},
        {"id": 3, "stage": "download", "done": 1.0, "total": None},
        {"id": 4, "stage": "separating", "done": 99.0, "total": 60.0},
    ]
    started = {1: 100.0, 2: 100.0, 3: 100.0, 4: 100.0, 5: 100.0}
    assert audio_left(started, 1000.0, running) == pytest.approx(1000 + 50 + 100 + 10 + 10 + 100)


def seconds(
    at: Path, *jobs: Job, left: float | None = None, held: int | None = None
) -> float | None:
    """What `remaining` says at 1000.0 of a journal with these jobs."""

    async def look() -> float | None:
        journal = Journal(os.fspath(at / "journal"))
        for number, job in enumerate(jobs):
            await journal.add(job.evolve(content_key=str(number)))
        journal.close()
        reading = ReadOnlyJournal(journal.path)
        try:
            found = await remaining(reading, [], left, [done(90.0, 50.0)], now=1000.0, held=held)
        finally:
            reading.close()
        assert found is not None
        assert found["songs"] == len(jobs)
        return found["seconds"]

    return asyncio.run(look())


QUEUED = a_job("a.mp3", duration=100.0)
LATER = QUEUED.evolve(not_before=1060.0)
LONG = QUEUED.evolve(duration=600.0)


def test_nobody_knows_how_long_it_takes_where_nothing_can_go_on(tmp_path: Path) -> None:
    """All wait for another try, for the budget, or each for one of both."""
    for number, (jobs, left, known) in enumerate(
        (
            ([QUEUED], None, True),
            ([LATER], None, False),
            ([LATER.evolve(state=JobState.SEPARATED)], None, False),
            ([LATER, QUEUED], None, True),
            ([QUEUED.evolve(state=JobState.SEPARATING), LATER], None, True),
            ([LONG], 5.0, False),
            ([LONG, QUEUED], 5.0, True),
            ([LONG, LATER], 5.0, False),
            ([LATER.evolve(duration=600.0), QUEUED], 5.0, True),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert (seconds(folder, *jobs, left=left) is not None) is known, (jobs, left)


def test_songs_that_the_budgets_of_their_inboxes_hold_are_not_reckoned_with(tmp_path: Path) -> None:
    """There may be minutes left in all."""
    for count, known in ((1, True), (2, False)):
        folder = tmp_path / str(count)
        folder.mkdir()
        assert (seconds(folder, LONG, QUEUED, left=60.0, held=count) is not None) is known
