"""Moves one original safely: never another file, never over one, never lost between two disks.

Another file may take the path at any moment. So the file is checked again *after* each rename, and
put back if it is not the expected one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from stemwatch.disks import durable
from stemwatch.disks.renaming import rename_noreplace
from stemwatch.job import Identity
from stemwatch.outbox import naming

Outcome = Literal["archived", "deleted", "quarantined", "kept", "changed", "gone"]
_BLOCK = 256 * 1024  # bytes that are copied at a time; larger blocks are no faster
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ETXTBSY}


@dataclass(frozen=True, slots=True)
class Filed:
    """What became of an original. `path` is where it is now (None: deleted, gone or unknown)."""

    outcome: Outcome
    path: str | None = None
    message: str | None = None
    errno: int | None = None  # the error for which it was kept


class NotMoved(Exception):
    """The original stays where it is; `filed` says why. Only `outbox/` raises and catches it."""

    def __init__(
        self, outcome: Outcome, path: str, message: str, fault: OSError | None = None
    ) -> None:
        super().__init__(message)
        stays = path if outcome == "kept" else None
        self.filed = Filed(outcome, stays, message, fault.errno if fault else None)


def look(path: str, identity: Identity, sha256: str | None) -> Identity:
    """The identity that the file at `path` has now; raises NotMoved unless it is `identity`'s file.

    A share that is mounted again may have numbered it anew: with the same size and time, its
    content decides.
    """
    try:
        found = os.lstat(path)
        now = Identity.of(found)
        alike = stat.S_ISREG(found.st_mode) and now[2:] == identity[2:]
        if alike and _is_same(path, now, identity, sha256):
            return now
    except (FileNotFoundError, NotADirectoryError) as fault:
        raise NotMoved("gone", path, f"{path} is no longer there.") from fault
    except OSError as fault:
        raise NotMoved("kept", path, f"{path}: {fault.strerror}.", fault) from fault
    raise NotMoved("changed", path, f"{path} is another file now.")


def find_moved(
    folder: str, names: Iterator[str], identity: Identity, sha256: str | None
) -> str | None:
    """Where an earlier call that was interrupted put the file, or None.

    It is found under one of `names` by its inode or its content.
    """
    misses = 0
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.lexists(path):
            misses += 1
            if misses == 3:
                return None
        elif _is_it(path, identity, sha256):
            durable.fsync_path(folder)  # the kill may have come before this flush
            return path
    return None


def finish_copy(source: str, found: str | None, identity: Identity, sha256: str | None) -> bool:
    """If `found` is the copy that a killed call made, remove the source and return True.

    Such a copy has the original's mtime, within 2 s, the coarsest grain of a file system. The same
    song dropped a second time has another mtime, and is moved like any file.
    """
    if found is None:
        return False
    copy = os.lstat(found)
    linked = (copy.st_dev, copy.st_ino) == (identity.device, identity.inode)
    copied = (
        copy.st_dev != identity.device and abs(copy.st_mtime_ns - identity.mtime_ns) < 2_000_000_000
    )
    if not linked and not copied:
        return False
    remove(source, identity, sha256)
    return True


def move(
    source: str,
    identity: Identity,
    folder: str,
    names: Iterator[str],
    *,
    sha256: str | None,
    claim: Callable[[str], bool] = lambda _name: True,
) -> str:
    """Move `source` into `folder` under the first free name of `names`; returns its path.

    `claim(name)` is called before each attempt and may refuse the name by returning False. Raises
    NotMoved, or OSError for faults of the destination.
    """
    identity = look(source, identity, sha256)
    for name in names:
        target = os.path.join(folder, name)
        if os.path.lexists(target) or not claim(name):
            continue
        try:
            copied = _show(source, target, identity, sha256)
        except FileExistsError:
            continue
        if not copied:  # before it is flushed: a running service may take it on meanwhile
            _check_moved(source, target, identity, sha256)
        durable.fsync_path(folder)
        if copied:
            _remove_copied(source, identity, sha256)
        else:
            durable.fsync_path(os.path.dirname(source))
        return target
    raise AssertionError("candidates never end")


def _show(source: str, target: str, identity: Identity, sha256: str | None) -> bool:
    """Rename `source` to `target`; True if it was copied, because `target` is on another disk."""
    try:
        _rename_away(source, target)
    except OSError as fault:
        if fault.errno != errno.EXDEV:
            raise
        part = _copy(source, identity, os.path.dirname(target), sha256)
        try:
            rename_noreplace(part, target)
        except BaseException:  # such as a name that this file system refuses
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        return True
    return False


def _remove_copied(source: str, identity: Identity, sha256: str | None) -> None:
    try:
        remove(source, identity, sha256)
    except NotMoved as stays:
        if stays.filed.outcome == "kept":
            raise
        # Another file has taken the path: leave it alone, since ours is filed.


def remove(path: str, identity: Identity, sha256: str | None) -> None:
    """Delete the file of `identity` and no other. Raises NotMoved if `path` is another file now.

    The file is renamed first and checked under the new name: between an lstat and an unlink,
    another song could take the path and be lost.
    """
    folder = os.path.dirname(path)
    hidden = os.path.join(folder, hidden_name(identity))
    if not os.path.lexists(hidden):  # if it exists, an earlier call was killed before its unlink
        identity = look(path, identity, sha256)
        _rename_away(path, hidden)
    if not _is_it(hidden, identity, sha256):
        _put_back(hidden, path)
        raise NotMoved("changed", path, f"{path} is another file now.")
    os.unlink(hidden)
    durable.fsync_path(folder)


def hidden_name(identity: Identity) -> str:
    """The name under which `remove` deletes a file."""
    return f".stemwatch-{identity.inode:x}-{identity.mtime_ns:x}.delete"


def _rename_away(source: str, target: str) -> None:
    """Rename `source` to `target`.

    Raises NotMoved if the source is gone or can't leave its folder, OSError for faults of the
    destination.
    """
    try:
        rename_noreplace(source, target)
    except FileExistsError:
        raise
    except FileNotFoundError as fault:
        if os.path.lexists(source):
            raise
        raise NotMoved("gone", source, f"{source} is no longer there.") from fault
    except OSError as fault:
        folder = os.path.dirname(target)
        takes = os.path.dirname(source) == folder or os.access(folder, os.W_OK | os.X_OK)
        if takes and fault.errno in _REFUSED:  # so the source can't leave its own
            raise NotMoved("kept", source, f"{source} can't be moved: {fault.strerror}.") from fault
        raise


def _check_moved(source: str, target: str, identity: Identity, sha256: str | None) -> None:
    if not _is_it(target, identity, sha256):
        _put_back(target, source)
        raise NotMoved("changed", source, f"{source} is another file now.")


def _put_back(path: str, home: str) -> None:
    folder, name = os.path.split(home)
    for candidate in naming.file_candidates(name, hashlib.sha256(os.fsencode(path)).hexdigest()):
        with contextlib.suppress(FileExistsError):
            rename_noreplace(path, os.path.join(folder, candidate))
            break
    durable.fsync_path(folder)


def _copy(source: str, identity: Identity, folder: str, sha256: str | None) -> str:
    """Copy the file to a hidden one in `folder`, flush and verify it; returns its path."""
    if not os.access(os.path.dirname(source), os.W_OK | os.X_OK):
        # Otherwise each start would leave another copy of a file that can't be removed.
        raise NotMoved("kept", source, f"{source} can't be moved: its folder is read-only.")
    part = os.path.join(folder, f".stemwatch-{identity.inode:x}-{identity.mtime_ns:x}.part")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
    try:
        read = _copy_bytes(source, identity, part, sha256)
        if sha256 is not None and read != sha256:
            raise NotMoved("changed", source, f"{source} has other content now.")
        if durable.sha256_of(part)[0] != read:
            raise OSError(errno.EIO, "the copy differs from what was written", part)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    return part


def _copy_bytes(source: str, identity: Identity, part: str, sha256: str | None) -> str:
    digest, first = hashlib.sha256(), 1 if sha256 is None else 2  # a known content tells more
    try:
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as fault:
        raise NotMoved("gone", source, f"{source} is no longer there.") from fault
    except OSError as fault:
        raise NotMoved(
            "kept", source, f"{source} can't be read: {fault.strerror}.", fault
        ) from fault
    with open(fd, "rb", buffering=0) as original, open(part, "xb") as copy:
        found = os.fstat(fd)
        if Identity.of(found)[first:] != identity[first:]:
            raise NotMoved("changed", source, f"{source} is another file now.")
        while True:
            try:
                block = original.read(_BLOCK)
            except OSError as fault:  # a bad sector: the original stays where it is
                raise NotMoved(
                    "kept", source, f"{source} can't be read: {fault.strerror}.", fault
                ) from fault
            if not block:
                break
            digest.update(block)
            copy.write(block)
        copy.flush()
        with contextlib.suppress(OSError):  # FAT and some shares have no modes or owners
            os.utime(copy.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fchmod(copy.fileno(), stat.S_IMODE(found.st_mode))
        os.fsync(copy.fileno())
    return digest.hexdigest()


def _is_it(path: str, identity: Identity, sha256: str | None) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != identity.size:
        return False
    # Some shares give a renamed file another inode number, or another time.
    return _is_same(path, Identity.of(found), identity, sha256)


def _is_same(path: str, now: Identity, identity: Identity, sha256: str | None) -> bool:
    """Whether a file of the right size is that of `identity`: by its numbers, or its content.

    Where the content is not known, only the device may have another number, as after a reboot.
    """
    if sha256 is None:
        return now[1:] == identity[1:]
    return now == identity or durable.sha256_of(path)[0] == sha256
