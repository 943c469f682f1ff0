"""Real disks that really fail: small tmpfs and loop-mounted ext4, exFAT and NTFS by FUSE.

Linux and root only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.support.waiting import wait_for

_EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2  # the harshest: what the file system's own journal has not committed is lost


def why_no_mounts(*tools: str) -> str | None:
    """Why this machine can't run these tests; None if it can."""
    if os.geteuid() != 0:
        return "needs root, to mount file systems"
    missing = [tool for tool in ("mount", "umount", *tools) if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    kind = next((kind for tool, kind in _KINDS.items() if tool in tools), Tmpfs)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with kind(Path(folder) / "try"):
                return None
        except (OSError, subprocess.CalledProcessError) as fault:
            told = getattr(fault, "stderr", "") or str(fault)
            return f"can't mount here: {told.strip()}"


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


class _Mounted:
    """A file system at `path`, gone at the end of the `with`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self) -> None:
        raise NotImplementedError

    def umount(self) -> None:
        """Unmount as soon as nobody has a file open there."""

        def gone() -> bool:
            done = subprocess.run(["umount", self.path], check=False, capture_output=True)
            return done.returncode == 0 or not os.path.ismount(self.path)

        wait_for(gone, timeout=20, every=0.05, what=f"umount {self.path}")

    def read_only(self, yes: bool) -> None:
        """Remount; waits for files that are open for writing."""
        how = "remount,ro" if yes else "remount,rw"

        def done() -> bool:
            call = subprocess.run(["mount", "-o", how, self.path], check=False, capture_output=True)
            return call.returncode == 0

        wait_for(done, timeout=20, every=0.01, what=f"{how} {self.path}")

    def __enter__(self) -> _Mounted:
        self.path.mkdir(parents=True, exist_ok=True)
        self.mount()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if os.path.ismount(self.path):
            with contextlib.suppress(AssertionError):
                self.umount()
        if os.path.ismount(self.path):  # a leftover must not keep the machine's disks busy
            _call("umount", "-l", str(self.path))


class Tmpfs(_Mounted):
    """A disk of a few megabytes, to be full."""

    def __init__(self, path: Path, megabytes: int = 16) -> None:
        super().__init__(path)
        self._megabytes = megabytes
        self._ballast = path / ".ballast"

    def mount(self) -> None:
        _call("mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "none", str(self.path))

    def fill(self) -> None:
        """Leave not a byte."""
        block = b"\0" * 65536
        fd = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            with contextlib.suppress(OSError):
                while True:
                    os.write(fd, block)
        finally:
            os.close(fd)

    def free(self) -> None:
        self._ballast.unlink()


class Ext4(_Mounted):
    """A loop-mounted image whose power can be cut."""

    def __init__(self, path: Path, megabytes: int = 64) -> None:
        super().__init__(path)
        self.image = path.with_name(f"{path.name}.img")
        with self.image.open("wb") as image:
            image.truncate(megabytes << 20)
        _call("mkfs.ext4", "-q", "-F", str(self.image))
        self._renumbered = False

    def mount(self) -> None:
        """Under another device number each time, as disks are after a reboot."""
        self._renumbered = not self._renumbered
        if not self._renumbered:
            _call("mount", "-o", "loop", str(self.image), str(self.path))
            return
        spare = self.image.with_suffix(".spare")
        spare.write_bytes(bytes(1 << 20))
        found = ["losetup", "--find", "--show", str(spare)]
        taken = subprocess.run(found, check=True, capture_output=True, text=True).stdout.strip()
        try:
            _call("mount", "-o", "loop", str(self.image), str(self.path))
        finally:
            _call("losetup", "-d", taken)

    def shut_down(self, flags: int = NOLOGFLUSH) -> None:
        """From here on every write fails with EIO; what was not on the disk never will be."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Never the machine's own disk: what is cut must be the mount made here.
            parent = os.stat(self.path.parent).st_dev
            assert os.path.ismount(self.path), f"{self.path} is no mount of ours"
            assert os.fstat(fd).st_dev != parent, f"{self.path} is no mount of ours"
            fcntl.ioctl(fd, _EXT4_IOC_SHUTDOWN, struct.pack("I", flags))
        finally:
            os.close(fd)

    def cut(self, stop: Callable[[], None]) -> None:
        """A power cut: the disk stops first, then `stop` ends who wrote; and back with it."""
        self.shut_down()
        stop()
        self.umount()
        self.mount()


class Exfat(_Mounted):
    """exFAT as a NAS without the kernel's module mounts it: names with `:` or `?` are ENOENT."""

    TOOLS = ("mkfs.exfat", "mount.exfat-fuse", "losetup")

    def __init__(self, path: Path, megabytes: int = 16) -> None:
        super().__init__(path)
        self._image = _image(path, megabytes)
        _call("mkfs.exfat", str(self._image))
        self._device = ""

    def mount(self) -> None:
        found = ["losetup", "--find", "--show", str(self._image)]
        self._device = subprocess.run(
            found, check=True, capture_output=True, text=True
        ).stdout.strip()
        try:
            _call("mount.exfat-fuse", self._device, str(self.path))
        finally:
            _call("losetup", "-d", self._device)  # once it is unmounted


class Ntfs(_Mounted):
    """NTFS with the names that Windows takes: others are EINVAL, bytes that are no text EILSEQ."""

    TOOLS = ("mkfs.ntfs", "ntfs-3g")

    def __init__(self, path: Path, megabytes: int = 16) -> None:
        super().__init__(path)
        self._image = _image(path, megabytes)
        _call("mkfs.ntfs", "-F", "-q", "-f", str(self._image))

    def mount(self) -> None:
        _call("ntfs-3g", "-o", "windows_names", str(self._image), str(self.path))


def _image(path: Path, megabytes: int) -> Path:
    image = path.with_name(f"{path.name}.img")
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    return image


_KINDS: dict[str, type[Ext4 | Exfat | Ntfs]] = {
    "mkfs.ext4": Ext4,
    "mkfs.exfat": Exfat,
    "mkfs.ntfs": Ntfs,
}
