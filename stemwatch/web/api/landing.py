"""A file comes into an inbox: under a hidden name while it is written, then whole under its own."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)

from stemwatch.config import Settings
from stemwatch.disks import durable
from stemwatch.disks.renaming import rename_noreplace
from stemwatch.inbox.names import Filter
from stemwatch.web.api.api_faults import CLOSE, Fault
from stemwatch.web.api.files import let_go

HIDDEN = ".stemwatch-upload-"  # no scan looks at names with a dot before them
_OURS = f"{HIDDEN}{secrets.token_hex(4)}-"  # of this process: no other one writes there
_ROOM = 64 << 20  # bytes that stay free beside what comes in
_DEEPEST, _LONGEST = 16, 255
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMES = 1000  # that are tried where one is taken


def checked_path(given: str, settings: Settings) -> str:
    """A path below an inbox, in plain parts, that ends in a song's name. Raises Fault 400, 415."""
    parts = given.split("/")
    bad = [part for part in parts if not _is_plain(part)]
    if bad or len(parts) > _DEEPEST:
        words = f"`path` can't be {given[:100]!r}."
        hint = "It is a name, or folders and a name such as Party/Song.mp3."
        raise Fault(400, "bad_path", words, hint, headers=CLOSE)
    watch = settings.watch
    filter = Filter(watch.extensions, watch.ignore)
    below = ["/".join(parts[: n + 1]) for n in range(len(parts) - 1)]
    pruned = any(filter.prunes(path.rpartition("/")[2], path) for path in below)
    if pruned or not filter.wanted(parts[-1], given):
        known = ", ".join(watch.extensions)
        words = f"{parts[-1][:100]!r} is no song here."
        raise Fault(
            415, "not_a_song", words, f"Songs are {known}; see watch.ignore.", headers=CLOSE
        )
    return given


def _is_plain(part: str) -> bool:
    try:
        length = len(part.encode())
    except UnicodeEncodeError:
        return False
    unsafe = any(ord(one) < 32 or ord(one) == 127 for one in part)
    return part not in ("", ".", "..") and length <= _LONGEST and not unsafe


def require_room(root: str, size: int) -> None:
    """Raise Fault 507 unless `size` bytes fit on the disk of this folder."""
    if durable.free_bytes(root) < size + _ROOM:
        words = "The inbox's disk has too little room."
        raise Fault(507, "no_room", words, "Free some space there.", headers=CLOSE)


class Landing:
    """One file on its way into `folder` (below the inbox); its descriptor is open meanwhile."""

    def __init__(self, fd: int, folder: str) -> None:
        self._fd = fd
        self._folder = folder
        self._hidden = f"{_OURS}{secrets.token_hex(8)}"

    @property
    def path(self) -> str:
        """Where its bytes go; through the folder's descriptor, so that no link leads elsewhere."""
        return f"/proc/self/fd/{self._fd}/{self._hidden}"

    def land(
        self,
        name: str,
        asking: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> str:
        """Give it its name, or ` (2)` and so on where that is taken; its path below the inbox.

        It appears at that path inside of `asking(path)`, or something is raised there.
        """
        stem, dot, extension = name.rpartition(".")
        for number in range(1, _NAMES):
            chosen = name if number == 1 else f"{stem} ({number}){dot}{extension}"
            path = f"{self._folder}/{chosen}".lstrip("/")
            there = f"/proc/self/fd/{self._fd}/{chosen}"
            if os.path.lexists(there):  # what was asked for that song must not be asked over
                continue
            try:
                with asking(path):
                    rename_noreplace(self.path, there)
            except FileExistsError:
                continue
            durable.fsync_path(f"/proc/self/fd/{self._fd}")
            return path
        raise Fault(409, "name_taken", f"There are too many files called {name!r}.", headers=CLOSE)

    def clear(self) -> None:
        """What did not land is removed."""
        with suppress(OSError):
            os.unlink(self.path)
        os.close(self._fd)


@asynccontextmanager
async def landing(root: str, folder: str) -> AsyncIterator[Landing]:
    """For a file below `folder` of the inbox `root`; folders that are missing are made.

    Raises Fault 409 where a file or a link is in the way; what durable.disk_faults does. After a
    fault nobody waits until it is cleared: that may have been a share that hangs.
    """
    with durable.disk_faults(root):
        place = Landing(await asyncio.to_thread(_opened, root, folder), folder)
    try:
        with _faults(root):
            yield place
    finally:
        clearing = let_go(place.clear)  # what a fault leaves there, the page's next start sweeps
    await asyncio.wait((clearing,))


@contextmanager
def _faults(root: str) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            words = "The inbox's disk is full."
            raise Fault(507, "no_room", words, "Free some space.", headers=CLOSE) from fault
        if fault.errno in (errno.ENAMETOOLONG, errno.EINVAL):
            words = "The inbox's disk takes no such name."
            raise Fault(400, "bad_path", words, "Choose a shorter one.", headers=CLOSE) from fault
        with durable.disk_faults(root):
            raise


def _opened(root: str, folder: str) -> int:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in folder.split("/") if folder else ():
        try:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=fd)
            inner = os.open(name, _FOLDER, dir_fd=fd)
        except OSError as fault:
            if fault.errno in (errno.ENOTDIR, errno.ELOOP):
                words = f"{name!r} is no folder there."
                hint = "Move that file or link away, or choose another folder."
                raise Fault(409, "in_the_way", words, hint, headers=CLOSE) from fault
            raise
        finally:
            os.close(fd)
        fd = inner
    return fd


def sweep(root: str) -> int:
    """Remove what a killed process left half written below `root`; how many files that were."""
    removed = 0
    for folder, _, names in os.walk(root):
        for name in names:
            if name.startswith(HIDDEN) and not name.startswith(_OURS):
                with suppress(OSError):
                    os.unlink(os.path.join(folder, name))
                    removed += 1
    return removed
