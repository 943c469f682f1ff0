"""Stages the stems of an earlier delivery of the same content, which need not be paid for again."""

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
    """Stage the stems of the delivery in `folder`, whose sidecar is `earlier`, once more.

    Returns what is staged then: every stem of `options`, and mixes of the same recipe; other mixes
    have to be made. Returns None, with nothing staged, if a stem is missing or altered. The files
    may be hard links: to change one, replace it, and never write into it.
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
            # Hashed after linking, so that the delivered file is the checked one.
            whole = durable.sha256_of(part) == (stem.sha256, stem.bytes)
        except FileNotFoundError:
            return False  # it was removed at this moment
        if not whole:
            os.unlink(part)
            return False
    staging.commit_part(stem.id, derived_from=stem.derived_from, gain_db=stem.gain_db)
    return True


def _duplicate(source: str, target: str) -> None:
    # A clone is tried first: like a link it takes no space, but a tag editor changes one copy only.
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
