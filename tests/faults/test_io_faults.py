"""Disks that fail, a sample: `python -m tests.faults.io_faults --size all` is the whole table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.io_faults import Case, Result, run, why_not

# Each place: a disk that is ill, what only the song's own folder takes ill, its own file alone.
CASES = [
    Case("outbox", "full", "ENOSPC"),
    Case("outbox", "mkdir", "EACCES", "parent"),
    Case("outbox", "write", "EIO", "part"),
    Case("archive", "apart", "EXDEV"),
    Case("archive", "mkdir", "EROFS", "folder"),
    Case("archive", "fsync", "ENOSPC", "copy"),
    Case("quarantine", "mkdir", "ENOSPC", "folder"),
    Case("quarantine", "rename", "EIO", "target"),
    Case("quarantine", "fsync", "EIO", "folder", "2"),
    Case("journal", "full", "ENOSPC", "unconfirmed"),
    Case("journal", "fsync", "EIO", "wal", "1"),
]
AT_ONCE = 4  # they wait for most of their time


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[Case, Future[Result]]]:
    """What comes of each case, played beside the others."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    folders: dict[Case, Path] = {case: tmp_path_factory.mktemp("disks") for case in CASES}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(run, case, folder) for case, folder in folders.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_failing_disk_costs_nothing_but_time(
    results: Mapping[Case, Future[Result]], case: Case
) -> None:
    """The service pauses (or ends, for the journal's fsync), loses nothing, and goes on in time."""
    result = results[case].result()
    assert result.faults == [], str(result)
