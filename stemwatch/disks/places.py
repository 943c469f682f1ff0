"""The user's folders (`Place`), and whether the disks that they are on are mounted."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from stemwatch.codes import Code
from stemwatch.disks import durable
from stemwatch.disks.hanging import Look, NoAnswer, Reach
from stemwatch.errors import PauseService
from stemwatch.job import Identity
from stemwatch.journal.journal import Journal

AWAY = (
    "Mount it; work goes on by itself. If the folder is meant to be where it is now, put any file "
    "into it and start again."
)
HUNG = (
    "Look at that disk or at the server of that network mount; nothing is forgotten, and work goes "
    "on by itself once it answers."
)
_LONG_LISTING = 6  # 60 s: a cloud's folder of 20,000 songs is asked for page by page
_RAW = "surrogateescape"  # names of folders need not be UTF-8, what the journal notes has to be


@dataclass(slots=True)
class Anchor:
    """One folder, and the top of the disk that it was on when it was last believed to be there.

    The top is found by device numbers, not in the mount table: bind mounts of one disk, such as
    systemd's `ReadWritePaths=` or a container's volumes make, come and go with the configuration.
    """

    path: str
    device: int | None = None  # st_dev; None: its disk is awaited
    top: str = "/"

    def holds(self) -> bool:
        """False while the folder's disk is away: what lies below its mount point is another's.

        A remount may have another device number; what counts is that its top is as deep again.
        """
        try:
            device = os.stat(self.path).st_dev
            if device == self.device:
                return True
            top = top_of(self.path)
        except OSError:
            return False
        if len(top) < len(self.top):
            return False
        self.device, self.top = device, top
        return True

    def recall(self, before: str) -> None:
        """Await the disk that an earlier run had noted, if its place is empty now.

        Started before its disk was mounted: an empty folder proves nothing about the queue, and
        what was put there would be hidden by the mount.
        """
        number, _, top = before.partition(" ")
        if self.device is None or len(self.top) >= len(top) or number == str(self.device):
            return
        if os.path.realpath(self.path).startswith(top) and _is_empty(self.path):
            self.device, self.top = None, top

    @property
    def fact(self) -> str:
        """What the next run is told."""
        return f"{self.device} {self.top}"


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
    unlisted: str | None = None  # a folder of the outbox that a start could not read
    reach: Reach = field(default_factory=Reach)

    @property
    def roots(self) -> list[str]:
        """The folders that results and originals go to."""
        roots = (self.outbox, self.quarantine, self.archive)
        return [path for path in roots if path is not None]

    async def require_inbox(self) -> None:
        """Raise PauseService(code="inbox") while its mount is gone, or can't be listed.

        What is missing then proves nothing: files of a vanished mount must not be taken for files
        that the user took back.
        """
        if self.inbox is None or self.inbox not in self.anchors:
            return
        try:
            holds = all(await self.reach.ask(self._holds, self.inbox))
            if holds:
                await self.reach.ask(require_listing, self.inbox, times=_LONG_LISTING)
        except NoAnswer:
            raise PauseService(
                f"the inbox {self.inbox} does not answer.", code=Code.INBOX, hint=HUNG
            ) from None
        except OSError as fault:
            raise unlisted(self.inbox, fault) from fault
        if not holds:
            raise PauseService(f"the inbox {self.inbox} is not there.", code=Code.INBOX, hint=AWAY)

    async def demand_results(self) -> None:
        """`require_results`, which a disk that does not answer can't hold up."""
        await self.demand(self._require, *self._results())

    async def demand(self, look: Look, *paths: str) -> None:
        """Raise what `look` raises for these paths, or PauseService for a disk that hangs."""
        try:
            await self.reach.ask(look, *paths)
        except NoAnswer as fault:
            raise PauseService(
                f"{fault.path} does not answer.", code=Code.DISK, hint=HUNG
            ) from None

    def require_results(self) -> None:
        """Raise PauseService(code="disk") unless results and originals have somewhere to go."""
        for path in self._results():
            self._require(path)

    async def demand_outbox(self) -> None:
        """Raise PauseService(code="disk") unless what was delivered there can be looked at."""
        await self.demand(self._require, *[p for p in (self.outbox,) if p in self.anchors])

    def _results(self) -> list[str]:
        return [path for path in self.roots if path in self.anchors]

    def _holds(self, path: str) -> bool:
        return self.anchors[path].holds()

    def _require(self, path: str) -> None:
        durable.require_root(path)
        if not self._holds(path):
            raise PauseService(
                f"{path}: its disk, {self.anchors[path].top}, is not mounted.",
                code=Code.DISK,
                hint=AWAY,
            )

    async def recall(self, journal: Journal) -> None:
        """Compare with the disks that an earlier run knew, and note these for the next one."""
        for path, anchor in self.anchors.items():
            await asyncio.to_thread(anchor.holds)  # a first look; an unreadable one is awaited
            fact = f"disk of {quote(path, errors=_RAW)}"
            before = await journal.fact(fact)
            if before is not None:
                await asyncio.to_thread(anchor.recall, unquote(before, errors=_RAW))
            if anchor.device is not None:
                await journal.note(fact, quote(anchor.fact, errors=_RAW))

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


def require_listing(folder: str) -> None:
    """Raise OSError unless the folder's entries can be read.

    A `stat` proves less: for the top of a share, `rclone mount` answers it from memory, for as long
    as its server is away.
    """
    with os.scandir(folder) as entries:
        next(entries, None)


def unlisted(inbox: str, fault: OSError) -> PauseService:
    """What holds an inbox that is there and can't be listed: the songs in it are not gone."""
    hint = HUNG
    if fault.errno in (errno.EACCES, errno.EPERM):
        hint = f"Give uid {os.geteuid()} read permission there; work goes on by itself."
    return PauseService(
        f"the inbox {inbox} can't be listed: {fault.strerror}.", code=Code.INBOX, hint=hint
    )


def top_of(path: str) -> str:
    """The uppermost folder that is on the same disk as `path`, all the way down."""
    top = os.path.realpath(path)
    device = os.stat(top).st_dev
    while (parent := os.path.dirname(top)) != top:
        try:
            if os.stat(parent).st_dev != device:
                break
        except OSError:  # not ours to look at
            break
        top = parent
    return top


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return all(entry.name.startswith(".") for entry in entries)
    except OSError:
        return False
