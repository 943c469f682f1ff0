"""The sentence of a pause: its time of day, with the date where that is another day's."""

from __future__ import annotations

import time

import pytest

from stemwatch.journal.pausing import Order


@pytest.mark.parametrize(
    ("ends", "said"),
    [("29 22:00", "until 22:00:"), ("30 10:00", "until 2026-11-30 10:00:"), (None, "ada: nothing")],
)
def test_a_pause_that_ends_tomorrow_names_the_day(ends: str | None, said: str) -> None:
    """`pause --until 10:00`, given in the evening: the log said no more than "until 10:00"."""

    def moment(told: str) -> float:
        return time.mktime(time.strptime(f"2026-11-{told}", "%Y-%m-%d %H:%M"))

    now = moment("29 21:00")
    order = Order("ada", "command", now, None if ends is None else moment(ends))
    assert said in order.words(now)
