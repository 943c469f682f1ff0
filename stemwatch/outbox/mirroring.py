"""Where an original goes in the archive or quarantine: the same subfolders as in the inbox.

It keeps its name and its bytes. Only where the file system there refuses that name (exFAT, NTFS and
many shares take no ":", no "?", no trailing dot), its name and folders are made safe.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from stemwatch.disks import durable
from stemwatch.outbox import naming
from stemwatch.outbox.moving import Filed

# What file systems answer to a name that they don't take: ntfs-3g EINVAL, exfat-fuse ENOENT, both
# EILSEQ to bytes that are no UTF-8, eCryptfs ENAMETOOLONG to more than 143.
_REFUSED = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENOENT, errno.ENAMETOOLONG})
_BESIDE = len(".reason.json")  # what is written beside a file may be longer than its name by this


class Spot(NamedTuple):
    """A place for one file: its name in `folder`, where no name may be longer than `limit` bytes.

    `safe`: it is not the file's own name any more.
    """

    folder: str
    name: str
    limit: int = naming.LIMIT
    safe: bool = False

    def names(self, token: str) -> Iterator[str]:
        """Its name, and what it is called where that is taken; `token` tells files apart."""
        return naming.file_candidates(self.name, token, self.limit)


def mirrored(root: str, relpath: str) -> Spot:
    """The spot below `root` that mirrors the inbox's, bytes kept."""
    parts = [part for part in relpath.split("/") if part not in ("", ".", "..")]
    return Spot(os.path.join(root, *parts[:-1]), parts[-1])


def put(root: str, relpath: str, attempt: Callable[[Spot], Filed]) -> Filed:
    """`attempt` at the mirrored spot; once more at a safe one where its name is refused.

    An earlier call may have been killed after its second attempt: what is gone from the inbox is
    looked for at both spots. Raises what the last attempt does.
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
