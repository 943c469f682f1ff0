"""What this machine has for separating: cores and memory, as far as this process may use them.

A control group of version 2 has its limits in one folder. Of version 1, which the kernels of many
NAS still have, a container sees its own at the top of each controller.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Those that this process may run on, a container's share counted."""
    allowed = len(os.sched_getaffinity(0))
    for quota, period in _shares():
        if quota > 0:
            allowed = min(allowed, max(1, quota // period))
    return allowed


def memory() -> int | None:
    """Bytes that can be taken without swapping, a container's limit counted; None: not known."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        found.append(_line(Path("/proc/meminfo"), "MemAvailable:") * 1024)
    for group in _groups():
        with suppress(OSError, ValueError):
            limit = _number(group / "memory.max")
            taken = _number(group / "memory.current") - _cached(group, "inactive_file")
            found.append(max(0, limit - taken))
    with suppress(OSError, ValueError):
        group = _GROUPS / "memory"
        limit = _number(group / "memory.limit_in_bytes")
        taken = _number(group / "memory.usage_in_bytes") - _cached(group, "total_inactive_file")
        found.append(max(0, limit - taken))
    return min(found, default=None)


def _shares() -> Iterator[tuple[int, int]]:
    """Microseconds of a core in so many; not above 0 where all may be used."""
    for group in _groups():
        with suppress(OSError, ValueError):
            quota, period = (group / "cpu.max").read_text().split()
            yield int(quota), int(period)  # "max" is a ValueError
    with suppress(OSError, ValueError):
        group = _GROUPS / "cpu"
        yield _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")


def _cached(group: Path, name: str) -> int:
    """Bytes of files that a group holds in memory only until somebody needs it."""
    with suppress(OSError, StopIteration):
        return _line(group / "memory.stat", name)
    return 0


def _number(file: Path) -> int:
    return int(file.read_text())


def _line(file: Path, name: str) -> int:
    """The number in the line of that name; StopIteration where there is none."""
    lines = (line.split() for line in file.read_text().splitlines())
    return int(next(words for words in lines if words[:1] == [name])[1])


def _groups() -> list[Path]:
    """Our control group and those above it, of version 2."""
    own = ""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = next(line[3:] for line in lines if line.startswith("0::"))
    group = _GROUPS / own.strip("/")
    return [group, *(one for one in group.parents if one.is_relative_to(_GROUPS))]
