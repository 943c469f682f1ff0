"""The conditions in SQL by which jobs are claimed."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from stemwatch.job import AT_HAND, JobState, Options
from stemwatch.journal.claiming import condition
from stemwatch.journal.journal import Journal
from stemwatch.journal.transactions import padded
from tests.support.journal import new_job


def _where(busy: int, contents: int, inboxes: int) -> str:
    text, values = condition(
        JobState.QUEUED,
        now=0.0,
        latest=1.0,
        owner=None,
        busy=set(range(busy)),
        busy_content={str(number) for number in range(contents)},
        longest=None,
        inboxes=[f"inbox {number}" for number in range(inboxes)],
        unfiled_by=math.inf,
    )
    assert text.count("?") == len(values)
    return text


def test_few_texts_ask_for_any_number_of_busy_songs() -> None:
    """SQLite keeps the compiled program of each text: 128 of them were 4.4 MB, for good."""
    counts = (0, 1, 2, 3, 5, 9, 17, 33)
    texts = {_where(busy, contents, 0) for busy in counts for contents in counts}
    assert len(texts) == 1
    assert len({_where(1, 1, inboxes) for inboxes in range(33)}) == 7  # 0, 1, 2, 4, 8, 16, 32


def test_what_is_busy_is_not_claimed(tmp_path: Path) -> None:
    async def main() -> list[int]:
        journal = Journal(str(tmp_path / "journal.sqlite3"))
        try:
            for number in range(1, 5):
                await journal.add(new_job(number))
            busy = {"busy": {2, 9}, "busy_content": {"content-3", 'it\'s "another"'}}
            states = (JobState.QUEUED,)
            found = await journal.claim(states, now=1.0, owner=None, limit=9, **busy)
            return [job.id for job in found]
        finally:
            journal.close()

    assert asyncio.run(main()) == [1, 4]


@pytest.mark.parametrize("count", range(18))
def test_padding_repeats_what_is_there(count: int) -> None:
    values = list(range(count))
    assert set(padded(values)) == set(values)
    assert padded(values)[:count] == values
    assert len(padded(values)).bit_count() <= 1
    assert len(padded(values)) < max(2, 2 * count)


def test_a_function_says_which_of_the_queued_songs_may_be_claimed(tmp_path: Path) -> None:
    """Whatever they are: songs that were paid for are never held back by it."""
    asked = []

    def fits(options: Options, seconds: float | None, rate: int | None, at_hand: bool) -> bool:
        asked.append((options.stems, seconds, rate, at_hand))
        return at_hand

    async def main() -> list[int]:
        journal = Journal(str(tmp_path / "journal.sqlite3"))
        try:
            await journal.add(new_job(1, options=Options(6)))
            await journal.add(new_job(2, engine=AT_HAND, duration=None, sample_rate=44_100))
            paid = await journal.add(new_job(3))
            paid = await journal.advance(paid, JobState.SUBMITTING)
            await journal.advance(paid, JobState.SEPARATING, remote_id="r")
            states = (JobState.QUEUED, JobState.SEPARATING)
            found = await journal.claim(states, now=1.0, owner=None, limit=9, fits=fits)
            return [job.id for job in found]
        finally:
            journal.close()

    assert asyncio.run(main()) == [3, 2]
    assert sorted(asked, key=str) == [(2, None, 44_100, True), (6, 60.0, None, False)]
