"""Opens one file of the inbox safely, whatever may have taken its name."""

from __future__ import annotations

import errno
import os
import stat

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


def sample(path: str) -> Identity | None:
    """The identity of the regular file at `path` now; None: it is gone. Raises `NotYet`."""
    try:
        fd = open_regular(path)
    except FileNotFoundError:
        return None
    try:
        return Identity.of(os.fstat(fd))
    except OSError as error:
        raise NotYet.of(error, path) from error
    finally:
        os.close(fd)


def sample_all(paths: list[str]) -> list[tuple[str, Identity | NotYet | None]]:
    """Each path with its `sample`, or with the NotYet that it raised."""
    seen: list[tuple[str, Identity | NotYet | None]] = []
    for path in paths:
        try:
            seen.append((path, sample(path)))
        except NotYet as fault:
            seen.append((path, fault))
    return seen
