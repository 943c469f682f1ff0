"""Mount points: the file system of a folder, and whether inotify reports its changes."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Literal, NamedTuple

from stemwatch.disks.nested_paths import is_at_or_below

Mode = Literal["inotify", "poll"]

# File systems that other machines write to: those changes cause no events on this machine.
# fmt: off
_POLLED = frozenset({
    "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "9p", "v9fs", "davfs",
    "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs", "gfs2", "orangefs",
    "virtiofs", "vboxsf", "vmhgfs", "hgfs", "prl_fs", "drvfs", "fuse", "autofs",
})
# fmt: on
# Local file systems on which every change sets the ctime; FAT and exFAT keep only an mtime.
_CTIMES = frozenset({"ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "tmpfs", "overlay"})
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of the mount table."""

    fstype: str
    source: str
    point: str


class WatchMode(NamedTuple):
    """How to watch a folder. `reason` is a sentence for the log and `status`, "" for inotify."""

    mode: Mode
    reason: str
    network: bool  # files settle slowly there, and inodes can't be trusted
    ctimes: bool = False  # a file with an unchanged ctime was not changed

    @property
    def leases(self) -> bool:
        """Whether this machine's kernel knows of everybody who writes there."""
        return self.mode == "inotify" and not self.network


def mount_of(path: str, mountinfo: str) -> Mount | None:
    """The mount of `path` (absolute, resolved), from the text of /proc/self/mountinfo; or None."""
    best: Mount | None = None
    for line in mountinfo.split("\n"):
        before, dash, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if not dash or len(fields) < 6 or len(rest) < 2:
            continue
        point = _unescape(fields[4])
        # Of two mounts on one point, the later hides the earlier.
        if is_at_or_below(path, point) and (best is None or len(point) >= len(best.point)):
            best = Mount(rest[0], _unescape(rest[1]), point)
    return best


def polls(fstype: str) -> bool:
    """Whether a folder on this file system has to be polled.

    `fuse.*` is polled. `fuseblk` is not: it is a local disk (NTFS, exFAT), and each change goes
    through this kernel. overlay reports all writes through it, and there are no others.
    """
    return fstype in _POLLED or fstype.startswith("fuse.")


def watch_mode(setting: str, path: str) -> WatchMode:
    """How to watch `path`, by the system's mount table. `setting` is auto, inotify or poll.

    Raises OSError if `path` can't be reached.
    """
    os.stat(path)  # an automount mounts its real file system only at the first access
    try:
        raw = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        raw = b""
    mount = mount_of(os.path.realpath(path), os.fsdecode(raw))
    network = mount is not None and polls(mount.fstype)
    ctimes = mount is not None and mount.fstype in _CTIMES
    if setting == "poll":
        return WatchMode("poll", "watch.mode is poll", network, ctimes)
    if sys.platform != "linux":
        return WatchMode("poll", "there is no inotify on this system", network)
    if setting == "auto" and network and mount is not None:
        reason = (
            f"{path} is on {mount.fstype} ({mount.source}), where what other machines write "
            "causes no events: it is looked through at every rescan"
        )
        return WatchMode("poll", reason, True)
    return WatchMode("inotify", "", network, ctimes)


def _unescape(field: str) -> str:
    """The kernel writes space, tab, newline and backslash as octal."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)
