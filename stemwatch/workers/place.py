"""Where the user's files are, and whether the inbox is really there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from stemwatch.inbox.mounts import mount_of
from stemwatch.job import Identity


@dataclass(slots=True)
class Place:
    """The folders (absolute). `split` has no inbox, no quarantine and no archive."""

    outbox: str
    inbox: str | None = None
    quarantine: str | None = None
    archive: str | None = None
    after_success: str = "keep"
    device: int | None = None  # st_dev of the inbox when it was last believed
    mount: str | None = None  # and the mount point that it was on
    network: bool = False  # inodes may be made up there: they are not compared

    def online(self) -> bool:
        """False while the inbox's mount is gone: then what is missing proves nothing.

        Files of a vanished mount must not be taken for files that the user took back. A remount
        may have another device number; what counts is that it is on the same mount point again.
        """
        if self.inbox is None:
            return True
        try:
            device = os.stat(self.inbox).st_dev
        except OSError:
            return False
        if device == self.device:
            return True
        mount = mount_point(self.inbox)
        if self.mount is not None and len(mount) < len(self.mount):
            return False  # the mount over it is gone, this is what lay below
        self.device, self.mount = device, mount
        return True

    def same(self, one: Identity | None, other: Identity) -> bool:
        """Whether two looks at a path saw the same file, unchanged.

        Disks may be numbered anew at a reboot: with device numbers compared, every song in the
        inbox would be taken for a new one then, and those that are kept there delivered again.
        """
        if one is None:
            return False
        if not self.network and one.inode != other.inode:
            return False
        return (one.size, one.mtime_ns) == (other.size, other.mtime_ns)


def mount_point(path: str) -> str:
    """Where the file system that `path` is on is mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        found = mount_of(os.path.realpath(path), table.read())
    return found.point if found is not None else "/"
