"""The lock for one service per state directory; the kernel frees it when the holder dies."""

from __future__ import annotations

import fcntl
import os
import time

from stemwatch.errors import AlreadyRunning

SERVICE = "lock"  # the name of the service's lock in the state directory
TRIES = 4


class InstanceLock:
    """An exclusive flock on the file `path`, which holds the holder's pid for people to read."""

    def __init__(self, path: str) -> None:
        """Take the lock. Raises AlreadyRunning if another process has it."""
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not self._locked():
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise AlreadyRunning(
                f"stemwatch is already running on {os.path.dirname(path)} (pid {holder}).",
                hint="Stop it first, or give this one its own `state_dir`.",
            )
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _locked(self) -> bool:
        """Try several times: one refusal may come from `is_held`, which takes the lock briefly."""
        for _ in range(TRIES):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(0.05)
            else:
                return True
        return False

    def release(self) -> None:
        os.close(self._fd)


def owners(state_dir: str) -> str:
    """The folder in which every `split` keeps its lock."""
    return os.path.join(state_dir, "owners")


def of_owner(state_dir: str, owner: str | None) -> str:
    """The path of the lock of a job's owner; `owner` None is the service."""
    if owner is None:
        return os.path.join(state_dir, SERVICE)
    return os.path.join(owners(state_dir), f"{owner}.lock")


def is_held(path: str) -> bool:
    """Whether a living process holds the lock at `path`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)
