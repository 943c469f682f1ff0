"""Stages the stems of an earlier delivery of the same content, which need not be paid for again.

No two deliveries share a file: tag editors and DJ programs write in place, and stems are made for
them. A clone shares only blocks, until one of the two is written.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from typing import Any

from stemwatch.disks import durable
from stemwatch.errors import Reject
from stemwatch.job import STEMS, Options
from stemwatch.outbox import sidecar
from stemwatch.outbox.measuring import Measured, measure
from stemwatch.outbox.sidecar import ResultFile
from stemwatch.outbox.staged_stem_file import of_sidecar
from stemwatch.outbox.staging import Staging
from stemwatch.outbox.unread import Unreadable, unreadable

_BLOCK = 256 * 1024  # bytes
_FICLONE = 0x40049409  # ioctl of btrfs, XFS and others: a copy that shares its blocks


def usable(earlier: Mapping[str, Any], options: Options) -> list[ResultFile] | None:
    """The files of the delivery whose sidecar is `earlier` that `options` ask for.

    Every stem, and mixes of the same recipe; other mixes have to be made. None: a stem is missing.
    """
    by_id = {stem.id: stem for stem in sidecar.result_files(dict(earlier))}
    wanted: list[tuple[str, tuple[str, ...] | None]] = [(i, None) for i in STEMS[options.stems]]
    wanted += [(name, tuple(sources)) for name, sources in options.mixes.items()]
    found: list[ResultFile] = []
    for stem_id, recipe in wanted:
        stem = by_id.get(stem_id)
        if stem is not None and stem.derived_from == recipe:
            found.append(stem)
        elif recipe is None:
            return None
    return found


def has_all(folder: str, found: Mapping[str, Any], options: Options) -> bool:
    """Whether the delivery in `folder`, whose sidecar is `found`, has all that `options` ask for.

    What the stem file holds is not looked at: DJ programs write into it. Raises Unreadable.
    """
    files = usable(found, options)
    if files is None or len(files) < len(STEMS[options.stems]) + len(options.mixes):
        return False
    if options.stem_file is None:
        return True
    one = of_sidecar(found)
    if one is None or one.codec != options.stem_file:
        return False
    return _is_file(os.path.join(folder, one.file))


def copy_stem_file(folder: str, codec: str, staging: Staging) -> bool:
    """Copy the stem file of the delivery in `folder` to where it is staged, not committed yet.

    False if there is none in this codec, it can't be read, or a byte has changed: DJ programs keep
    cues in it, and it is made anew.
    """
    try:
        path = sidecar.locate(folder)
        found = None if path is None else of_sidecar(sidecar.read(path))
        if found is None or found.codec != codec:
            return False
        source, told = os.path.join(folder, found.file), (found.sha256, found.bytes, None)
        part = staging.stem_file.part(codec)
        return _copied(source, part, staging, lambda have: have.has(*told))
    except (Reject, Unreadable):
        return False


def copy(folder: str, stem: ResultFile, staging: Staging) -> bool:
    """Copy a file of the delivery in `folder` to where its stem is staged, not committed yet.

    Tags that somebody wrote into it don't count, and the copy has them. Returns False, with nothing
    staged, if the file is gone or does not sound as its sidecar says. Raises Unreadable.
    """
    source, part = os.path.join(folder, stem.file), staging.part(stem.id)
    if not stem.file.lower().endswith(f".{staging.ext}"):
        return False
    told = stem.sha256, stem.bytes, stem.audio_sha256
    return _copied(source, part, staging, lambda have: have.has(*told))


def _copied(source: str, part: str, staging: Staging, fits: Callable[[Measured], bool]) -> bool:
    if not _is_file(source):
        return False
    with durable.disk_faults(staging.outbox):
        if os.path.lexists(part):
            os.unlink(part)  # not written into: an older stemwatch made links to a delivery here
        try:
            _duplicate(source, part)
        except FileNotFoundError:
            return False  # it was removed at this moment
        except PermissionError as fault:
            if fault.filename != source:
                raise
            raise Unreadable(source, fault) from fault
        # Measured behind the copy, so that the delivered file is the checked one.
        if fits(measure(part)):
            return True
        os.unlink(part)
    return False


def _is_file(path: str) -> bool:
    try:
        with unreadable(path):
            return stat.S_ISREG(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _duplicate(source: str, target: str) -> None:
    """Clone or copy `source`; after a fault there is no `target`."""
    with durable.opened(source) as (fd, _), open(target, "xb") as out:
        try:
            if not _cloned(fd, out.fileno()):
                with open(fd, "rb", buffering=0, closefd=False) as original:
                    shutil.copyfileobj(original, out, _BLOCK)
        except BaseException:
            os.unlink(target)
            raise


def _cloned(source: int, target: int) -> bool:
    """Whether the file system shares the blocks of the one with the other until one is written."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True
