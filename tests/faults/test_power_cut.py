"""Power cuts, a few: `python -m tests.faults.power_cut --size 104` is the whole sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.power_cut import sweep, why_not


def test_a_power_cut_loses_nothing_that_was_promised(tmp_path: Path) -> None:
    """After each cut every visible file is whole, and every id that was acted upon is known."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    figures = sweep(3, tmp_path, seed=3)
    assert figures.faults == []
    assert figures.cuts == 3
    assert figures.files_checked > 0


def test_the_cuts_show_what_was_not_flushed(tmp_path: Path) -> None:
    """The same sweep over a service that does not flush its files finds damage.

    Cut at a moment that shows it: a song's folder is on the disk, by the journal's own flush of
    what came later, and its files are not.
    """
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    faults = sweep(2, tmp_path, seed=1, careless=True).faults
    assert any("is no JSON" in fault or "bytes, or others" in fault for fault in faults)
