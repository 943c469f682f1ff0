"""What somebody calls a time, and the history as a screen shows it."""

from __future__ import annotations

from datetime import datetime

import pytest

from stemwatch.job import JobState
from stemwatch.journal.past import Ended
from stemwatch.operations.history import delivered, moment
from stemwatch.ui import past_songs
from tests.support.commands import a_job
from tests.support.screens import assert_screen

NOW = 1_800_000_000.0  # Friday, 15 January 2027, 08:00:00 UTC


pytestmark = pytest.mark.usefixtures("greenwich")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("90min", "2027-01-15T06:30:00"),
        ("2 h", "2027-01-15T06:00:00"),
        ("7d", "2027-01-08T08:00:00"),
        ("2W", "2027-01-01T08:00:00"),
        ("today", "2027-01-15T00:00:00"),
        ("yesterday", "2027-01-14T00:00:00"),
        ("2026-11-29", "2026-11-29T00:00:00"),
        ("2026-11-29 22:00", "2026-11-29T22:00:00"),
        ("2026-11-29T22:00+02:00", "2026-11-29T20:00:00"),
    ],
)
def test_a_time_is_what_people_say(words: str, meant: str) -> None:
    """A span back from now, a day, or a date; local unless it says otherwise."""
    assert datetime.fromtimestamp(moment(words, NOW)).isoformat() == meant


@pytest.mark.parametrize("words", ["", "soon", "7", "d", "2026-13-01", "999999w", "-1d"])
def test_what_is_no_time_is_told_with_what_is(words: str) -> None:
    """One sentence with examples."""
    with pytest.raises(ValueError, match=r"is no time; allowed is 30min, .* such as 2027-01-15"):
        moment(words, NOW)


def songs() -> list[Ended]:
    job = a_job(
        "Party/A Band With a Long Name - A Song With a Title That Never Ends (Live).flac",
        id=7, state=JobState.DONE, bpm=128.04, key="C# minor", duration=218.5,
        delivered_to="/srv/music/outbox/Party/A Band With a Long Name - A Song (Live)",
    )  # fmt: skip
    other = a_job("初恋.mp3", id=8, inbox="dj", delivered_to="/srv/dj/out/初恋", duration=61.0)
    return [
        Ended(other, NOW - 60, "reused from 初恋", 0.0, 0.0),
        Ended(job, NOW - 86400, "", 3.6417, 0.36417),
        Ended(job, NOW - 2 * 86400, "", 0.0, 0.0),
        Ended(
            job.evolve(bpm=None, key=None, duration=None, content_key="x:2:wav:api"),
            NOW - 9e6,
            "",
            0.0,
            0.0,
        ),
    ]


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_history_on_screens_of_each_width(width: int) -> None:
    """One line for a song where there is room, otherwise up to three."""
    document = {
        "kind": "delivered",
        "currency": "EUR",
        "songs": [delivered(one) for one in songs()],
    }
    assert_screen("history", past_songs.lines(document, width), width)
