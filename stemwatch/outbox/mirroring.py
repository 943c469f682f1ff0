"""Where an original goes in the archive or quarantine: the same subfolders as in the inbox.

The file keeps its name and its bytes. Only where the file system refuses that name (exFAT, NTFS and
many shares take no ":", no "?", no trailing dot), the names of file and folders are made safe.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from stemwatch.disks import durable
from stemwatch.outbox import naming
from stemwatch.outbox.moving import Filed

# Errors with which file systems refuse a name: ntfs-3g EINVAL, exfat-fuse ENOENT, both EILSEQ for
# bytes that are no UTF-8, eCryptfs ENAMETOOLONG for more than 143 bytes.
_REFUSED = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENOENT, errno.ENAMETOOLONG})
_BESIDE = len(".reason.json")  # a reason file's name is longer than its file's name by this


class Spot(NamedTuple):
    """The destination of one file: `name` in `folder`, where names may have `limit` bytes.

    `safe`: `name` is no longer the file's own name, but one made safe.
    """

    folder: str
    name: str
    limit: int = naming.LIMIT
    safe: bool = False

    def names(self, token: str) -> Iterator[str]:
        """`name`, and then other names for where it is taken, which contain `token`."""
        return naming.file_candidates(self.name, token, self.limit)


def mirrored(root: str, relpath: str) -> Spot:
    """The spot below `root` that mirrors `relpath` byte by byte."""
    parts = [part for part in relpath.split("/") if part not in ("", ".", "..")]
    return Spot(os.path.join(root, *parts[:-1]), parts[-1])


def put(root: str, relpath: str, attempt: Callable[[Spot], Filed]) -> Filed:
    """Call `attempt` with the mirrored spot, and with a safe spot if the first name is refused.

    An earlier call may have been killed after its second attempt, so a file that is gone from the
    inbox is looked for at both spots. Returns what the last attempt returns; raises what it raises.
    """
    exact = mirrored(root, relpath)
    safe = _made_safe(root, relpath)
    differs = safe[:2] != exact[:2]
    try:
        filed = attempt(exact)
    except OSError as fault:
        if fault.errno not in _REFUSED or not differs:
            raise
        return attempt(safe)
    if filed.outcome in ("gone", "changed") and differs and os.path.isdir(safe.folder):
        return attempt(safe)
    return filed


def _made_safe(root: str, relpath: str) -> Spot:
    limit = durable.name_max(root)
    folder = os.path.join(root, naming.mirror(relpath, limit=limit)).rstrip("/")
    name = mirrored(root, relpath).name
    return Spot(folder, naming.safe_file(name, limit=limit - _BESIDE), limit - _BESIDE, safe=True)
