"""Opens one file of the inbox safely, whatever may have taken its name."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from stemwatch.disks.leases import is_written
from stemwatch.job import Identity

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
# There is no such name, or it is no file: a symlink (ELOOP), a socket or an idle FIFO (ENXIO).
_GONE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENAMETOOLONG}
)


class NotYet(OSError):
    """The file exists but can't be opened now: EBUSY, EACCES, ETXTBSY, ESTALE, EIO, ..."""

    @classmethod
    def of(cls, error: OSError, path: str) -> NotYet:
        return cls(error.errno, error.strerror, path)


class StillOpen(NotYet):
    """Another program has the file open for writing; `identity` is what it is so far."""

    def __init__(self, path: str, identity: Identity) -> None:
        super().__init__(errno.ETXTBSY, "another program still has it open for writing", path)
        self.identity = identity


# Whether this file, which has so many names, is likely to be open for writing; it is asked where
# the kernel can't tell.
Guess = Callable[[str, int], bool]


def open_regular(path: str) -> int:
    """A descriptor for reading the regular file at `path`; the caller closes it.

    Raises `FileNotFoundError` if there is no regular file of that name, `NotYet` if there may be
    one that can't be opened now.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not wait for ever. O_NOFOLLOW: no symlink leads elsewhere.
        fd = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in _GONE:
            raise FileNotFoundError(error.errno, error.strerror, path) from error
        raise NotYet.of(error, path) from error
    try:
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError as error:
        os.close(fd)
        raise NotYet.of(error, path) from error
    if not regular:
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
    return fd


def sample(path: str, guess: Guess | None = None) -> Identity | None:
    """The identity of the regular file at `path` now; None: it is gone. Raises `NotYet`.

    `guess`: raise `StillOpen` where anybody has it open for writing; None: nobody asks, as on a
    network mount, where the kernel does not know.
    """
    try:
        fd = open_regular(path)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(fd)
        identity = Identity.of(status)
        if guess is None:
            return identity
        written = is_written(fd)
    except OSError as error:
        raise NotYet.of(error, path) from error
    finally:
        os.close(fd)
    if guess(path, status.st_nlink) if written is None else written:
        raise StillOpen(path, identity)
    return identity


def sample_all(
    paths: list[str], guess: Guess | None = None
) -> list[tuple[str, Identity | NotYet | None]]:
    """Each path with its `sample`, or with the NotYet that it raised."""
    seen: list[tuple[str, Identity | NotYet | None]] = []
    for path in paths:
        try:
            seen.append((path, sample(path, guess)))
        except NotYet as fault:
            seen.append((path, fault))
    return seen
