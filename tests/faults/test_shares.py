"""Network shares, small; `python -m tests.faults.shares --full` tells all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.shares import tell, why_not


@pytest.mark.parametrize("name", ["exported", "sftp"])
def test_what_comes_through_a_share_is_delivered_once(tmp_path: Path, name: str) -> None:
    """Written through it, or with the share gone: nothing half, nothing lost or twice."""
    if (reason := why_not(name)) is not None:
        pytest.skip(reason)
    figures = tell(name, tmp_path, full=False)
    assert not figures.faults, str(figures)
    assert figures.songs > 0
