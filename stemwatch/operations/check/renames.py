"""`check`, renames: tries whether files can be renamed between the configured folders.

systemd's `ReadWritePaths=` and a container's volumes make a bind mount of each path. Bind mounts of
one disk look like that one disk, but refuse every rename between them (EXDEV), so each move becomes
a copy of the whole file. Only a process inside these mounts sees that, so it is tried here.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from stemwatch.config import Inbox
from stemwatch.config.folders import CHECK
from stemwatch.log import log

_MOUNT_ID = re.compile(rb"^mnt_id:\s*(\d+)$", re.MULTILINE)
HINT = (
    "Give their common parent as one path instead: one `ReadWritePaths=` in a systemd unit, one "
    "volume for a container, one mount in /etc/fstab. Nothing is lost meanwhile: files are copied."
)


@dataclass(frozen=True, slots=True)
class Trap:
    """Two folders, with their keys, that are on the same disk but on two mounts of it."""

    keys: tuple[str, str]
    paths: tuple[str, str]

    @property
    def sentence(self) -> str:
        (one, two), (here, there) = self.keys, self.paths
        return (
            f"{one} and {two} are on one disk, but mounted separately: no file can be renamed "
            f"from {here} to {there}, so every move is a copy"
        )


def warn(inbox: Inbox) -> None:
    """Log each trap from inside the service: `check` may have been run outside of its mounts."""
    for trap in traps(inbox):
        log.warning("folders.separate_mounts", message=f"{trap.sentence}.", hint=HINT)


def traps(each: Inbox) -> Iterator[Trap]:
    """Yield the folder pairs between which originals can't be renamed. Leaves no file behind."""
    folders = dict(each.folders.used())
    inbox = folders["inbox"]
    for name in ("archive", "quarantine"):
        path = folders.get(name, inbox)
        if path != inbox and _one_disk(inbox, path) and not _renames(inbox, path):
            keys = each.key("folders", "inbox"), each.key("folders", name)
            yield Trap(keys, (inbox, path))


def _one_disk(one: str, two: str) -> bool:
    try:
        return os.stat(one).st_dev == os.stat(two).st_dev
    except OSError:
        return False  # the folders' findings report it


def _renames(one: str, two: str) -> bool:
    """Try to rename an empty hidden file; if it can't be made, compare the mounts' numbers."""
    name = f"{CHECK}{secrets.token_hex(6)}"
    source, target = os.path.join(one, name), os.path.join(two, name)
    try:
        os.close(os.open(source, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.rename(source, target)
    except OSError as error:
        return error.errno != errno.EXDEV and _mount(one) == _mount(two)
    finally:
        for left in (source, target):
            try:
                os.unlink(left)
            except OSError:
                pass
    return True


def _mount(folder: str) -> bytes | None:
    """The number of the mount that a folder is on; None if the kernel does not tell."""
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:
            with open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
                found = _MOUNT_ID.search(file.read())
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return found[1] if found else None
