"""Watcher truth, small; `python -m tests.faults.watcher_truth --size 20000` is the full one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.watcher_truth import STORIES, tell, why_not

SIZES = {"stopped": 400, "remounted": 60, "remade": 60, "deaf": 40, "moved": 80}
RESCAN, SETTLE = 2.0, 0.2  # seconds


@pytest.mark.parametrize("name", STORIES)
def test_every_file_is_journaled_once(tmp_path: Path, name: str) -> None:
    """Whatever happens to the inbox or its watcher: none twice, none forgotten, none acted upon."""
    if (reason := why_not(name)) is not None:
        pytest.skip(reason)
    figures = tell(name, SIZES[name], tmp_path, rescan_seconds=RESCAN, settle=SETTLE)
    assert not figures.faults, str(figures)
    assert figures.files > 0
