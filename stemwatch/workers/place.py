"""Where the user's files are, and whether the disks that they are on are really there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from stemwatch.errors import PauseService
from stemwatch.inbox.mounts import mount_of
from stemwatch.job import Identity
from stemwatch.outbox import durable


@dataclass(slots=True)
class Anchor:
    """One folder, and the mount that it was on when it was last believed to be there."""

    path: str
    device: int | None = None  # st_dev; None: its disk is awaited
    mount: str = "/"  # where that is mounted

    @classmethod
    def of(cls, path: str) -> Anchor:
        """As it is now. OSError where there is no such folder."""
        return cls(path, os.stat(path).st_dev, mount_point(path))

    def holds(self) -> bool:
        """False while the folder's mount is gone: what lies below its mount point is another's.

        A remount may have another device number; what counts is that it is on the same mount
        point again.
        """
        try:
            device = os.stat(self.path).st_dev
        except OSError:
            return False
        if device == self.device:
            return True
        mount = mount_point(self.path)
        if len(mount) < len(self.mount):
            return False
        self.device, self.mount = device, mount
        return True

    def compare(self, before: str | None) -> None:
        """Await the mount that an earlier run knew (`before`), if its point is empty now.

        Started before its disk was mounted: an empty folder proves nothing about the queue, and
        what was put there would be hidden by the mount.
        """
        if before is None or len(self.mount) >= len(before) or not _is_empty(self.path):
            return
        if os.path.realpath(self.path).startswith(before):
            self.device, self.mount = None, before


@dataclass(slots=True)
class Place:
    """The folders (absolute). `split` has no inbox, no quarantine and no archive, and no anchors.

    `anchors` are those of the service, by path.
    """

    outbox: str
    inbox: str | None = None
    quarantine: str | None = None
    archive: str | None = None
    after_success: str = "keep"
    network: bool = False  # inodes may be made up there: they are not compared
    anchors: dict[str, Anchor] = field(default_factory=dict)

    def online(self) -> bool:
        """False while the inbox's mount is gone: then what is missing proves nothing.

        Files of a vanished mount must not be taken for files that the user took back.
        """
        return (
            self.inbox is None or self.inbox not in self.anchors or self.anchors[self.inbox].holds()
        )

    def require_results(self) -> None:
        """Raise PauseService(code="disk") unless results and originals have somewhere to go."""
        for path in (self.outbox, self.quarantine, self.archive):
            if path is not None and path in self.anchors:
                durable.require_root(path)
                if not self.anchors[path].holds():
                    raise PauseService(
                        f"{path}: its disk, {self.anchors[path].mount}, is not mounted.",
                        code="disk",
                        hint="Mount it; work goes on by itself. If the folder is meant to be "
                        "where it is now, put any file into it and start again.",
                    )

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


def _is_empty(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return all(entry.name.startswith(".") for entry in entries)
