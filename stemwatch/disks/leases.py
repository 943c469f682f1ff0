"""Asks the kernel whether anybody has a file open for writing, by a read lease that is given back.

It knows of every writer of a local disk, those through a memory map included, and of no writer on
another machine: don't ask on a network mount.
"""

from __future__ import annotations

import errno
import fcntl
import signal
import sys

# A writer who opens the file in the few microseconds of the lease waits for its end, and the kernel
# signals us. The usual SIGIO would end this process; SIGURG is ignored unless somebody handles it.
_BREAK = signal.SIGURG
_WRITTEN = frozenset({errno.EAGAIN, errno.EBUSY})
_LINUX = sys.platform == "linux"


def is_written(fd: int) -> bool | None:
    """Whether any process has the file `fd` (opened for reading) open for writing.

    None: it can't be told. The file is another account's and we are not root (EACCES), or the file
    system has no leases.
    """
    if not _LINUX:
        return None
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, _BREAK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as fault:
        return True if fault.errno in _WRITTEN else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
