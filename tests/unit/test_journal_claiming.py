"""The conditions in SQL by which jobs are claimed."""

from __future__ import annotations

import math

import pytest

from stemwatch.job import JobState
from stemwatch.journal.claiming import condition
from stemwatch.journal.transactions import padded


def _where(busy: int, contents: int) -> str:
    text, values = condition(
        JobState.QUEUED,
        now=0.0,
        latest=1.0,
        owner=None,
        busy=set(range(busy)),
        busy_content={str(number) for number in range(contents)},
        longest=None,
        inboxes=[],
        unfiled_by=math.inf,
    )
    assert text.count("?") == len(values)
    return text


def test_few_texts_ask_for_any_number_of_busy_songs() -> None:
    """SQLite compiles each text, and keeps it: there was one for each number of them."""
    texts = {_where(busy, contents) for busy in range(33) for contents in range(busy + 1)}
    assert len(texts) <= 7 * 8 / 2  # 0, 1, 2, 4, 8, 16, 32 of each


@pytest.mark.parametrize("count", range(18))
def test_padding_repeats_what_is_there(count: int) -> None:
    values = list(range(count))
    assert set(padded(values)) == set(values)
    assert padded(values)[:count] == values
    assert len(padded(values)).bit_count() <= 1
    assert len(padded(values)) < max(2, 2 * count)
