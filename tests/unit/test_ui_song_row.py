"""Rows of songs under way: they fit, and a long name keeps its beginning and its end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from stemwatch.ui import song_row
from stemwatch.ui.bars import drawn
from tests.support.screens import assert_screen

LONG = "The Quite Long Name of a Band - An Even Longer Title of Its Song (Live in Paris, 1974).flac"
NOW = 1000.0


def entry(name: str, stage: str, done: float, total: float | None) -> dict[str, object]:
    return {"id": 1, "name": name, "stage": stage, "done": done, "total": total, "since": 960.0}


ENTRIES = [
    entry(LONG, "upload", 12.3e6, 45.6e6),
    entry("Party/" + LONG, "separating", 20.0, 80.0),
    entry(
        "宇多田ヒカル - 初恋 (とても長い題名のライブバージョン、東京ドームにて).mp3",
        "download",
        1e6,
        4e6,
    ),
    entry("short.mp3", "separating", 0.62, 1.0),
    entry("a.mp3", "delivering", 0.0, None),
]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_bars_on_screens_of_each_width(width: int) -> None:
    """A bar is there at 40 columns, too; nothing is wider than the terminal."""
    lines = drawn(ENTRIES, 3, 12, width, NOW, elapsed=90.0)
    assert all(cell_len(line.plain) <= width for line in lines)
    assert_screen("bars", lines, width)


def test_bars_are_plain_where_blocks_can_t_be_shown() -> None:
    """An ASCII terminal shows what it can."""
    shown = [line.plain for line in drawn(ENTRIES[:1], 0, 1, 80, NOW, unicode=False)]
    assert "###" in shown[0]
    assert all(line.isascii() for line in shown)


def test_a_separation_that_is_late_is_never_full() -> None:
    """An estimate that is over is no end; what the server says is shown as it is."""
    assert song_row.share(entry("a", "separating", 20.0, 10.0), NOW) == 0.99
    assert song_row.share(entry("a", "separating", 0.5, 1.0), NOW) == 0.5
    assert song_row.share(entry("a", "separating", 0.0, None), NOW) is None


@settings(deadline=None)
@given(st.text(max_size=60), st.integers(0, 70))
def test_a_name_that_is_cut_fits_and_keeps_both_ends(name: str, cells: int) -> None:
    """Whatever is in it: wide, combining or joined characters."""
    found = song_row.cut(name, cells)
    assert cell_len(found) <= cells
    if found != name and cells > 1:
        before, _, after = found.partition("…")
        assert name.startswith(before)
        assert name.endswith(after)


def test_a_title_and_its_ending_are_still_seen() -> None:
    """Two versions of a song differ in how their names end."""
    assert song_row.cut("Artist - A long title (Live).mp3", 20) == "Artist - A…Live).mp3"
