"""Mount points: the file system of a folder, and whether inotify reports its changes."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Literal, NamedTuple

Mode = Literal["inotify", "poll"]

# File systems that others write to: their changes cause no events on this machine.
# fmt: off
_POLLED = frozenset({
    "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "9p", "v9fs", "davfs",
    "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs", "gfs2", "orangefs",
    "virtiofs", "vboxsf", "vmhgfs", "hgfs", "prl_fs", "drvfs", "fuse", "autofs",
})
# fmt: on
# Local ones that tell of every change by a ctime of their own; FAT and exFAT keep only an mtime.
_CTIMES = frozenset({"ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "tmpfs", "overlay"})
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of the mount table."""

    fstype: str
    source: str
    point: str


class WatchMode(NamedTuple):
    """How to watch a folder; `reason` is a sentence for the log and `status`, "" for the usual."""

    mode: Mode
    reason: str
    network: bool  # settle slowly, and don't trust inodes
    ctimes: bool = False  # a file whose ctime is the same was not changed


def mount_of(path: str, mountinfo: str) -> Mount | None:
    """The mount that `path` (absolute, resolved) is on, by the text of /proc/self/mountinfo."""
    best: Mount | None = None
    for line in mountinfo.split("\n"):
        before, dash, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if not dash or len(fields) < 6 or len(rest) < 2:
            continue
        point = _unescape(fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two mounts on one point, the later hides the earlier.
        if inside and (best is None or len(point) >= len(best.point)):
            best = Mount(rest[0], _unescape(rest[1]), point)
    return best


def polls(fstype: str) -> bool:
    """Must a folder on this file system be polled?

    `fuse.*` is polled, `fuseblk` is not: that is a local disk (NTFS, exFAT) whose every change
    goes through this kernel. overlay tells of what is written through it, which is all there is.
    """
    return fstype in _POLLED or fstype.startswith("fuse.")


def watch_mode(setting: str, path: str) -> WatchMode:
    """How to watch `path`; `setting` is auto, inotify or poll. Looks at the real mount table."""
    os.stat(path)  # an automount shows its real file system only once it was touched
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
