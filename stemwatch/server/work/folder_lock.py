"""Who may work in a data directory: one server by itself, or any number of a cluster's processes.

A server by itself empties `incoming/` at its start, and knows of no other's jobs; a cluster removes
folders that its database does not know. In each other's directory they would destroy work.
"""

from __future__ import annotations

import errno
import fcntl
import os

from stemwatch.errors import AlreadyRunning

# Network folders without locks: a server by itself wants one, a cluster goes without.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def hold(root: str, *, shared: bool = False) -> int:
    """Take the directory until the descriptor that is returned is closed, or the process ends.

    `shared`: with others that share it. Raises AlreadyRunning, or OSError where it can't be used.
    """
    descriptor = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _taken(root, shared) from None
    except OSError as fault:
        if not shared or fault.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise
    return descriptor


def _taken(root: str, shared: bool) -> AlreadyRunning:
    if shared:
        return AlreadyRunning(
            f"A separation server that is in no cluster works in {root!r}.",
            hint="Stop it, or give all machines of the cluster another --data-dir.",
        )
    return AlreadyRunning(
        f"Another separation server works in {root!r}.",
        hint="Stop it, or give this one another --data-dir.",
    )
