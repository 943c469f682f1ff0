"""Durable writes, and disk errors turned into our faults.

Measured on ext4: a rename without an fsync before it lost the file in every power cut.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator

from stemwatch.codes import Code
from stemwatch.disks.hashing import sha256
from stemwatch.disks.renaming import rename_noreplace
from stemwatch.errors import PauseService, RetryLater

_LOOKS = 5  # tries to make a folder whose parent another process removes at the same time
# Errors of a disk or share that fails or is away, whatever the file.
UNREACHABLE = frozenset(
    {
        errno.EIO,
        errno.ESTALE,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.ENODEV,
    }
)
_HINTS = {
    errno.ENOSPC: "Free some space there; work goes on by itself.",
    errno.EDQUOT: "Free some space there or raise the quota; work goes on by itself.",
    errno.EROFS: "Mount it read-write, or choose another folder in `folders:`.",
    errno.EACCES: "Give uid {uid} write permission there, or choose another folder in `folders:`.",
    errno.EPERM: "Give uid {uid} write permission there, or choose another folder in `folders:`.",
    errno.EXDEV: "Mount it and what is below it as one; a result is shown by a rename.",
    errno.EIO: "Check the disk and the kernel's log (`dmesg`).",
    errno.ESTALE: "Check the network mount; work goes on by itself.",
    errno.ENOTCONN: "Check the network mount; work goes on by itself.",
    errno.ETIMEDOUT: "Check the network mount; work goes on by itself.",
    errno.EHOSTDOWN: "Check the network mount; work goes on by itself.",
    errno.ENODEV: "Check that the disk is connected and mounted.",
    errno.ENXIO: "Check that the disk is connected and mounted.",
}


@contextlib.contextmanager
def disk_faults(path: str) -> Iterator[None]:
    """Turn an OSError into PauseService(code="disk") if the disk is at fault, else RetryLater.

    Use it around all that writes below `path`, downloads included: a full disk must stop
    submissions and lose no job.
    """
    try:
        yield
    except OSError as fault:
        where = os.fsdecode(fault.filename2 or fault.filename or path)
        if fault.errno in (errno.ENOTDIR, errno.EEXIST) and (file := _in_the_way(where)):
            raise RetryLater(
                f"{file}: a file is where a folder is needed.",
                code=Code.BLOCKED,
                hint="Move that file away; nothing is overwritten.",
                counts=False,
            ) from fault
        what = f"{where}: {os.strerror(fault.errno) if fault.errno else fault}."
        hint = _HINTS.get(fault.errno or 0)
        if hint is not None:
            raise PauseService(what, code=Code.DISK, hint=hint.format(uid=os.geteuid())) from fault
        raise RetryLater(what, code=Code.DISK_ERROR, hint=f"Look at {path}.") from fault


def _in_the_way(path: str) -> str | None:
    """The uppermost part of `path` that exists and is no folder; None: there is none."""
    found = None
    while path != os.path.dirname(path):
        if os.path.exists(path) and not os.path.isdir(path):
            found = path
        path = os.path.dirname(path)
    return found


def require_root(path: str) -> None:
    """Raise PauseService(code="disk") unless the configured folder `path` exists.

    It is never made here: without its mount, the files would go to the disk below.
    """
    if os.path.isdir(path):
        return
    if (file := _in_the_way(path)) is not None:
        raise PauseService(
            f"{path}: {file} is a file, where a folder is needed.",
            code=Code.DISK,
            hint="Move that file away and create the folder; work goes on by itself.",
        )
    raise PauseService(
        f"{path}: the folder is missing.", code=Code.DISK, hint="Mount it, or create it."
    )


def free_bytes(path: str) -> int:
    """Bytes that this user may still write to the disk of `path`. Raises as `disk_faults` does."""
    with disk_faults(path):
        found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def name_max(path: str) -> int:
    """The longest file name in `path` in bytes: 255, or less, such as 143 in encrypted folders."""
    try:
        # Not `os.pathconf`, which asks the same: on a share that hangs it stops all our threads.
        return min(255, os.statvfs(path).f_namemax or 255)
    except OSError:
        return 255


def fsync_path(path: str) -> None:
    """Flush a file, or a directory's entries, to the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as fault:
        # Some network file systems can't fsync a directory: they write its entries at once anyway.
        if fault.errno != errno.EINVAL or not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise
    finally:
        os.close(fd)


def make_dirs(path: str, *, root: str, flush: bool = True) -> None:
    """Create `path` and its missing parents below `root`; with `flush`, flush each one's entry.

    Raises PauseService(code="disk") if `root` is missing, and OSError. A missing root means that
    its mount went away: folders made below the mount point would be hidden when it comes back.
    """
    if path.rstrip("/") == root.rstrip("/"):
        require_root(root)
        return
    for looks_left in reversed(range(_LOOKS)):
        try:
            os.mkdir(path)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
            return
        except FileNotFoundError:
            parent = os.path.dirname(path)
            # ENOENT although the parent exists: exFAT refuses a name in this way.
            if parent == path or not looks_left:
                raise
            # Make the parent, and try again: another process may have removed it meanwhile.
            make_dirs(parent, root=root, flush=flush)
        else:
            if flush:
                fsync_path(os.path.dirname(path) or ".")
            return


def write_file(path: str, data: bytes, *, replace: bool = False, mode: int = 0o666) -> None:
    """Write a small file durably and as a whole. Its mode is `mode` without the umask.

    Raises FileExistsError if `path` exists and `replace` is False. Two writers of one path need a
    lock between them.
    """
    folder, name = os.path.split(path)
    # Named after the file, so that the next try removes what a kill left.
    part = os.path.join(
        folder, f".stemwatch-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.part"
    )
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
    try:
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        if replace:
            os.replace(part, path)
        else:
            rename_noreplace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    fsync_path(folder)


def sha256_of(path: str) -> tuple[str, int]:
    """SHA-256 (hex) and length in bytes of a regular file. Raises as `opened` does."""
    with opened(path) as (fd, size):
        return sha256(fd, size), size


@contextlib.contextmanager
def opened(path: str) -> Iterator[tuple[int, int]]:
    """A descriptor of the regular file at `path`, and its length in bytes.

    Raises OSError for any other entry: it never follows a symlink, and never blocks on a FIFO.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        yield fd, found.st_size
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Hold a lock on `folder` against threads and processes that check a name before a rename.

    It is a best effort: where a share can't lock, the rename itself still replaces nothing.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
