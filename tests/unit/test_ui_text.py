"""Amounts, spans and moments, in the words of a terminal."""

import pytest

from stemwatch.ui import text


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ({"stage": "upload", "done": 1e6, "total": 4e6}, "1.0 MB of 4.0 MB"),
        ({"stage": "download", "done": 1e6, "total": None}, "1.0 MB"),
        ({"stage": "upload", "done": 4200, "total": 412_999}, "4 kB of 412 kB"),
        ({"stage": "separating", "done": 0.25, "total": 1.0}, "25%"),
        ({"stage": "separating", "done": 3, "total": 30.0, "since": 100.0}, "for 20 s"),
        ({"stage": "delivering", "done": 0, "total": None, "since": None}, "for 0 s"),
    ],
)
def test_amounts_are_in_the_unit_of_their_stage(entry: dict[str, object], shown: str) -> None:
    """Bytes while it travels, a share or a time while it separates."""
    assert text.amount(entry, 120.0) == shown


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7300, "2 h"), (9e5, "10 d")]
)
def test_spans_are_told_in_their_largest_unit(seconds: float, words: str) -> None:
    """Nobody counts 86,400 seconds."""
    assert text.span(seconds) == words


def test_a_moment_is_local_and_relative() -> None:
    """Soon by the clock, long ago with its date."""
    assert text.when(1000.0, 940.0).endswith(" (in 1 min)")
    assert "-" in text.when(0.0, 10 * 86400.0)
    assert text.when(0.0, 10 * 86400.0).endswith(" (10 d ago)")
