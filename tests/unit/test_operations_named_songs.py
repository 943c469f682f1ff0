"""What `retry` takes a word for, and which names it offers."""

import pytest

from stemwatch.operations.named_songs import chosen, nearest
from tests.support.commands import a_job

JOBS = [
    a_job("a.mp3", id=1, filed_to="/q/a.mp3"),
    a_job("live/a.mp3", id=2, filed_to="/q/live/a.mp3"),
    a_job("bad\n\udcff.mp3", id=30, filed_to="/q/bad [1a2b3c4d].mp3"),
]


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("2", [2]),
        ("a.mp3", [1, 2]),
        ("live/a.mp3", [2]),
        ("/q/a.mp3", [1]),
        ("q/live/../a.mp3", [1]),
        ("/inbox/live/a.mp3", [2]),
        ("bad\n\udcff.mp3", [30]),
        ("bad\\x0a\\xff.mp3", [30]),
        ("bad [1a2b3c4d].mp3", [30]),
        ("3", []),
        ("b.mp3", []),
    ],
)
def test_a_word_means_an_id_a_name_or_a_path(word: str, ids: list[int]) -> None:
    """Ids first; names as they are, as they are shown, and as they are in the quarantine."""
    assert [job.id for job in chosen(JOBS, word, "/")] == ids


def test_names_that_are_near_are_offered() -> None:
    """A slip of the pen finds its song."""
    assert nearest(JOBS, "live/aa.mp3") == ["a.mp3"]
    assert nearest(JOBS, "zzz") == []
