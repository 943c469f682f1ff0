"""What `check` makes of clocks, and of the limits of inotify."""

import pytest

from stemwatch.disks.mounts import WatchMode
from stemwatch.operations.check.asked_folders import clock_finding, watch_finding
from stemwatch.operations.check.finding import FAULT, OK, WARNING

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("now", "stamps", "level"),
    [
        (NOW, {"/state": NOW + 1}, OK),
        (NOW, {"/state": NOW, "/outbox": NOW - 600}, WARNING),
        (0.0, {}, FAULT),
    ],
)
def test_a_clock_is_judged_by_the_year_and_by_the_disks(
    now: float, stamps: dict[str, float], level: str
) -> None:
    """A clock that was never set is a fault, a disk that disagrees is worth a warning."""
    assert clock_finding(now, stamps).level == level


@pytest.mark.parametrize(
    ("mode", "folders", "limit", "level"),
    [
        (WatchMode("inotify", "", False), 10, 8192, OK),
        (WatchMode("inotify", "", False), 9000, 8192, FAULT),
        (WatchMode("inotify", "", True), 10, 8192, WARNING),
        (WatchMode("poll", "nfs", True), 9000, 8192, OK),
        (WatchMode("inotify", "", False), 9000, None, OK),
    ],
)
def test_inotify_limits_count_only_where_inotify_is_used(
    mode: WatchMode, folders: int, limit: int | None, level: str
) -> None:
    """More folders than watches is told before the service meets it."""
    assert watch_finding(mode, folders, limit).level == level


@pytest.mark.parametrize(("folders", "told"), [(1, "1 folder of"), (2, "2 folders of")])
def test_one_folder_is_not_told_as_folders(folders: int, told: str) -> None:
    """Nor one song, one file, one fault: they are counted in one place."""
    mode = WatchMode("inotify", "", False)
    assert watch_finding(mode, folders, 8192).text == f"watching: inotify, {told} 8192 allowed"
