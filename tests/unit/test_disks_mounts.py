"""Reading the mount table."""

from pathlib import Path

import pytest

from stemwatch.disks.mounts import mount_of, polls, watch_mode

TABLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:40 / /mnt/nas rw,relatime shared:5 master:2 - nfs4 nas:/music rw,vers=4.2
31 27 0:41 / /mnt/my\040music\134x rw - cifs //nas/my\040music rw
32 27 0:42 / /mnt/twice rw - ext4 /dev/sdb rw
33 32 0:43 / /mnt/twice rw - fuse.sshfs host:/x rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "fstype", "source"),
    [
        ("/home/me/inbox", "ext4", "/dev/vda"),
        ("/mnt/nas", "nfs4", "nas:/music"),
        ("/mnt/nas/in/deep", "nfs4", "nas:/music"),
        ("/mnt/nasty", "ext4", "/dev/vda"),
        ("/mnt/my music\\x/in", "cifs", "//nas/my music"),
        ("/mnt/twice/a", "fuse.sshfs", "host:/x"),
    ],
)
def test_the_deepest_and_latest_mount_counts(path: str, fstype: str, source: str) -> None:
    """Whole path parts are compared, escapes undone, and a later mount hides an earlier one."""
    mount = mount_of(path, TABLE)
    assert mount is not None
    assert (mount.fstype, mount.source) == (fstype, source)


def test_no_table_no_mount() -> None:
    """An unreadable table says nothing rather than something wrong."""
    assert mount_of("/x", "") is None


def test_which_file_systems_are_polled() -> None:
    """Those that others write to are polled; local disks, FUSE ones included, are not."""
    polled = "nfs nfs4 cifs smb3 9p virtiofs fuse.sshfs fuse.rclone vboxsf afs ceph glusterfs fuse"
    assert all(polls(fstype) for fstype in polled.split())
    local = "ext4 xfs btrfs zfs tmpfs overlay fuseblk nfsd fusectl"
    assert not any(polls(fstype) for fstype in local.split())


def test_settings_win_over_the_table(tmp_path: Path) -> None:
    """`poll` and `inotify` mean what they say; `auto` on a local disk is inotify."""
    assert watch_mode("poll", str(tmp_path)).mode == "poll"
    assert watch_mode("inotify", str(tmp_path)).mode == "inotify"
    mode = watch_mode("auto", str(tmp_path))
    assert mode.mode == ("poll" if mode.network else "inotify")
    assert bool(mode.reason) == mode.network


def test_only_known_file_systems_have_ctimes_to_rely_upon() -> None:
    """FAT keeps none, and what a pseudo file system tells is anybody's guess."""
    assert watch_mode("auto", "/dev/shm").ctimes  # noqa: S108 - looked at, never written to
    assert not watch_mode("poll", "/proc").ctimes
