"""Links the stems of an earlier delivery of the same content, so that it isn't paid for twice."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Mapping
from typing import Any

from stemwatch.disks import durable
from stemwatch.job import STEMS, Options
from stemwatch.outbox import sidecar
from stemwatch.outbox.sidecar import StemFile
from stemwatch.outbox.staging import Staging

_FICLONE = 0x40049409  # ioctl of btrfs, XFS and others: a copy that shares its blocks
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP)


def relink(
    folder: str, earlier: Mapping[str, Any], staging: Staging, options: Options
) -> list[StemFile] | None:
    """Stage the stems of the delivery in `folder` (its sidecar: `earlier`) once more.

    Returns what is staged now: every stem of `options`, and the mixes of the same recipe; mixes
    that are not among them remain to be made. None if a stem is missing or altered, with nothing
    staged. The files may be hard links: replace them to change them, never write into them.
    """
    by_id = {stem.id: stem for stem in sidecar.stem_files(dict(earlier))}
    wanted: list[tuple[str, tuple[str, ...] | None]] = [(i, None) for i in STEMS[options.stems]]
    wanted += [(name, tuple(sources)) for name, sources in options.mixes.items()]
    for stem_id, recipe in wanted:
        stem = by_id.get(stem_id)
        same = stem is not None and stem.derived_from == recipe
        if stem is not None and same and _take(os.path.join(folder, stem.file), stem, staging):
            continue
        if recipe is None:
            staging.discard()
            return None
    return staging.stems


def _take(source: str, stem: StemFile, staging: Staging) -> bool:
    """Link, clone or copy one file into the staging; False if it isn't what the sidecar says."""
    if not stem.file.lower().endswith(f".{staging.ext}"):
        return False
    try:
        if not stat.S_ISREG(os.lstat(source).st_mode):
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    part = staging.part(stem.id)
    with durable.disk_faults(staging.outbox):
        if os.path.lexists(part):
            os.unlink(part)
        try:
            _duplicate(source, part)
            # Hashed after linking: what was checked is what will be delivered.
            whole = durable.sha256_of(part) == (stem.sha256, stem.bytes)
        except FileNotFoundError:
            return False  # taken away this very moment
        if not whole:
            os.unlink(part)
            return False
    staging.commit_part(stem.id, derived_from=stem.derived_from, gain_db=stem.gain_db)
    return True


def _duplicate(source: str, target: str) -> None:
    # A clone first: it takes no space either, and a tag editor on one copy leaves the other alone.
    fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as original, open(target, "xb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
            return
        except OSError:
            os.unlink(target)
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as fault:
            if fault.errno not in _NO_LINK:
                raise
            with open(target, "xb") as plain:
                shutil.copyfileobj(original, plain, 256 * 1024)
