"""What this machine has for separating: cores and memory, as far as this process may use them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Those that this process may run on, a container's share counted."""
    allowed = len(os.sched_getaffinity(0))
    for group in _groups():
        with suppress(OSError, ValueError):
            quota, period = (group / "cpu.max").read_text().split()
            allowed = min(allowed, max(1, int(quota) // int(period)))  # "max" is a ValueError
    return allowed


def memory() -> int | None:
    """Bytes that can be taken without swapping, a container's limit counted; None: not known."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) * 1024)
    for group in _groups():
        with suppress(OSError, ValueError):
            limit = int((group / "memory.max").read_text())
            taken = int((group / "memory.current").read_text()) - _cached(group)
            found.append(max(0, limit - taken))
    return min(found, default=None)


def _cached(group: Path) -> int:
    """Bytes of files that a group holds in memory until somebody needs it."""
    with suppress(OSError, StopIteration):
        lines = (group / "memory.stat").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("inactive_file ")).split()[1])
    return 0


def _groups() -> list[Path]:
    """Our control group and those above it (version 2 only)."""
    own = ""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = next(line[3:] for line in lines if line.startswith("0::"))
    group = _GROUPS / own.strip("/")
    return [group, *(one for one in group.parents if one.is_relative_to(_GROUPS))]
