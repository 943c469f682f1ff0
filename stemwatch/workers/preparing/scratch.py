"""Files of prepared songs in the state folder, which no kill leaves behind.

A file has a name while it is encoded only. Then it is opened and unlinked: its space comes back
when its descriptor is closed, whatever ends the process. The name is locked meanwhile, since a
service and several `split` share the folder: what nobody holds is litter.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PREFIX, _SUFFIX = "upload-", ".flac"


@contextmanager
def named(folder: str) -> Iterator[str]:
    """Yield the path of a new, empty file in `folder`, which ends with the block.

    Before, what an earlier run left there is removed. Its helper, which may outlive it by seconds,
    may have made that after the start. Raises OSError.
    """
    clean(folder)
    path = os.path.join(folder, f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path
    finally:
        with suppress(OSError):  # a fault here would hide the block's own
            os.unlink(path)
        os.close(fd)


def clean(folder: str) -> None:
    """Remove the files in `folder` that no living process encodes."""
    with suppress(OSError):  # such litter harms nobody, and a journal there will tell of the fault
        for name in os.listdir(folder):
            if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                _remove_unheld(os.path.join(folder, name))


def _remove_unheld(path: str) -> None:
    with suppress(OSError):  # held, or gone meanwhile
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(fd)
