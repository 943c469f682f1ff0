"""Disks that fail, a few cases: `python -m tests.faults.io_faults` is the whole table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.io_faults import Case, run, why_not

CASES = [
    Case("outbox", "full", "ENOSPC"),
    Case("archive", "apart", "EXDEV"),
    Case("quarantine", "fsync", "EIO", "folder", "2"),
    Case("journal", "full", "ENOSPC", "unconfirmed"),
    Case("journal", "fsync", "EIO", "wal", "1"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_failing_disk_costs_nothing_but_time(case: Case, tmp_path: Path) -> None:
    """The service pauses (or ends, for the journal's fsync), loses nothing, and goes on."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    result = run(case, tmp_path)
    assert result.faults == [], str(result)
