"""Temp files whose download was given up: after a day they no longer hold back their song."""

from __future__ import annotations

import errno
import os

DAY = 86_400.0  # seconds without a change; a download that pauses for a night goes on
_NONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


def is_stale(path: str, now: float) -> bool:
    """Whether the temp file, or bundle, at `path` is gone or has not changed for a day.

    `now` is in Unix seconds. Where its times can't be read it is not stale.
    """
    try:
        return now - last_change(path) >= DAY
    except OSError as fault:
        return fault.errno in _NONE


def last_change(path: str) -> float:
    """When the file at `path` was last written, renamed or made, in Unix seconds.

    Raises OSError.
    """
    status = os.lstat(path)
    return max(status.st_mtime, status.st_ctime)
