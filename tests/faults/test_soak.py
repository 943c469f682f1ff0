"""A short soak: `python -m tests.faults.soak --minutes 30` is the whole one."""

from __future__ import annotations

from pathlib import Path

from tests.faults.soak import soak


def test_faults_and_kills_leave_every_content_paid_once_and_nothing_stuck(tmp_path: Path) -> None:
    """Random faults and kills: paid = unique contents, 0 stuck, and nothing held that grows."""
    figures = soak(tmp_path, seconds=4.0, seed=7)
    assert figures.broken == []
    assert figures.kills
    assert figures.paid
