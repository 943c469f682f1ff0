"""Renames that replace nothing, also where the kernel or the file system has no such call."""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections.abc import Callable

_RENAME_NOREPLACE = 1
_AT_FDCWD = -100
# Errors of an old kernel, a network file system or a sandbox that does not know renameat2's flag.
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_LINKS = {errno.EPERM, errno.EMLINK, errno.EACCES}
# Errors of `link` on a share mounted by a program such as rclone. A failing disk gives EIO too, but
# there the next call fails as well.
_NO_CLAIMS = {errno.EIO, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def rename_noreplace(source: str, target: str) -> None:
    """Rename `source`, or raise FileExistsError: an existing `target` is never replaced.

    Raises OSError with EXDEV if the two are on different mounts.
    """
    call = _renameat2()
    failed = call(source, target) if call else errno.ENOSYS
    if failed in _UNSUPPORTED:
        _rename_without_flag(source, target)
    elif failed:
        raise OSError(failed, os.strerror(failed), source, None, target)


def _rename_without_flag(source: str, target: str) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    if stat.S_ISDIR(os.lstat(source).st_mode):
        # rename(2) of a directory itself refuses to replace a file, or a folder that is not empty.
        try:
            os.rename(source, target)
        except OSError as fault:
            if fault.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from fault
            raise
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as fault:
        if fault.errno in _NO_CLAIMS:
            # No claim here: such a share uploads the empty file seconds later, over the song that
            # has its name by then. Only the instant since `lexists` above is unprotected.
            os.rename(source, target)
            return
        if fault.errno not in _NO_LINKS:
            raise
        # No hard links (FAT, some shares): claim the name with an empty file, then replace that.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        try:
            os.rename(source, target)
        except OSError:
            os.unlink(target)
            raise
    else:
        os.unlink(source)


@functools.cache
def _renameat2() -> Callable[[str, str], int] | None:
    try:
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, AttributeError, OSError, MemoryError):  # musl, or a sandbox without ffi
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]

    def rename(source: str, target: str) -> int:
        """Returns 0 or the errno."""
        pair = os.fsencode(source), os.fsencode(target)
        if call(_AT_FDCWD, pair[0], _AT_FDCWD, pair[1], _RENAME_NOREPLACE) == 0:
            return 0
        return ctypes.get_errno()

    return rename
