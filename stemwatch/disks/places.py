"""The user's folders (`Place`), and whether the disks that they are on are mounted."""

from __future__ import annotations

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
_LONG_LISTING = 6  # times the patience, so 60 s: a cloud lists 20,000 songs page by page
_RAW = "surrogateescape"  # a folder's name need not be UTF-8, but the journal's text has to be


@dataclass(slots=True)
class Anchor:
    """One folder, and the top folder of the disk that it is believed to be on.

    The top is found by device numbers, not in the mount table: bind mounts of one disk, such as
    those of systemd's `ReadWritePaths=` or of a container's volumes, change with the configuration.
    """

    path: str
    device: int | None = None  # st_dev; None: the disk of an earlier run is awaited
    top: str = "/"

    def holds(self) -> bool:
        """Whether the folder's disk is mounted. While it is not, the folder is on another disk.

        A remount may have another device number. It is the same disk if its top is as deep again.
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
        """Await the disk that an earlier run noted in `before`, if the folder is empty now.

        The service may have started before the disk was mounted. Then the empty folder proves
        nothing about the queue, and files put there would be hidden by the mount.
        """
        number, _, top = before.partition(" ")
        if self.device is None or len(self.top) >= len(top) or number == str(self.device):
            return
        if os.path.realpath(self.path).startswith(top) and _is_empty(self.path):
            self.device, self.top = None, top

    @property
    def fact(self) -> str:
        """The text that the next run's `recall` is given."""
        return f"{self.device} {self.top}"


@dataclass(slots=True)
class Place:
    """The folders of one inbox (absolute paths), and calls that check their disks.

    `anchors` are those of the service, by path. A `split` has neither inbox, quarantine nor
    archive, and no anchors.
    """

    outbox: str
    inbox: str | None = None
    quarantine: str | None = None
    archive: str | None = None
    after_success: str = "keep"
    network: bool = False  # inodes may be invented there, so they are not compared
    anchors: dict[str, Anchor] = field(default_factory=dict)
    prepared: bool = True  # False: a start has yet to do its work in these folders
    longest_name: int | None = None  # bytes, in the outbox, as its disk told last
    # Folders whose disk was not yet compared with an earlier run's: they count as away.
    unrecalled: set[str] = field(default_factory=set)
    reach: Reach = field(default_factory=Reach)
    _before: dict[str, str | None] = field(default_factory=dict)  # an earlier run's facts

    @property
    def roots(self) -> list[str]:
        """The folders that results and originals go to."""
        roots = (self.outbox, self.quarantine, self.archive)
        return [path for path in roots if path is not None]

    async def require_inbox(self) -> None:
        """Raise PauseService(code="inbox") while the inbox is away, hangs or can't be listed.

        Files that are missing then must not be taken for files that the user took back.
        """
        if self.inbox is None or self.inbox not in self.anchors:
            return
        try:
            holds = all(await self.reach.ask(self._holds, self.inbox))
            if holds:
                await self.reach.ask(require_listing, self.inbox, times=_LONG_LISTING)
        except NoAnswer:
            raise hangs(self.inbox, Code.INBOX) from None
        except OSError as fault:
            raise unlisted(self.inbox, fault) from fault
        if not holds:
            raise PauseService(f"the inbox {self.inbox} is not there.", code=Code.INBOX, hint=AWAY)

    async def demand_results(self) -> None:
        """Raise PauseService(code="disk") unless the disks for results and originals are there."""
        await self.demand(self.require_root, *self._results())

    async def demand(self, look: Look, *paths: str) -> None:
        """Call `look` for these paths. Raises what it raises; PauseService if a disk hangs."""
        try:
            await self.reach.ask(look, *paths)
        except NoAnswer as fault:
            raise hangs(fault.path, Code.DISK) from None

    async def demand_outbox(self) -> None:
        """Raise PauseService(code="disk") unless the outbox's disk is mounted and answers."""
        await self.demand(self.require_root, *[p for p in (self.outbox,) if p in self.anchors])

    def _results(self) -> list[str]:
        return [path for path in self.roots if path in self.anchors]

    def _holds(self, path: str) -> bool:
        return path not in self.unrecalled and self.anchors[path].holds()

    def require_root(self, path: str) -> None:
        """Raise PauseService(code="disk") unless the folder is there, on the disk that is known."""
        durable.require_root(path)
        if path in self.anchors and not self._holds(path):
            raise PauseService(
                f"{path}: its disk, {self.anchors[path].top}, is not mounted.",
                code=Code.DISK,
                hint=AWAY,
            )
        if path == self.outbox and self.longest_name is None:
            self.learn_names()

    def learn_names(self) -> None:
        """Ask the outbox's disk, which is there: encrypted folders take no more than 143 bytes."""
        self.longest_name = durable.name_max(self.outbox)

    async def recall(self, journal: Journal) -> None:
        """Compare the disks with those that an earlier run noted, and note them for the next.

        Raises PauseService (code "inbox" or "disk") at one that hangs. The inbox comes last, as
        results don't need it.
        """
        for path in sorted(self.anchors, key=lambda path: path == self.inbox):
            anchor, fact = self.anchors[path], f"disk of {quote(path, errors=_RAW)}"
            before = await journal.fact(fact)
            self._before[path] = None if before is None else unquote(before, errors=_RAW)
            try:
                await self.reach.ask(self._recall, path)
            except NoAnswer:
                raise hangs(path, Code.INBOX if path == self.inbox else Code.DISK) from None
            self.unrecalled.discard(path)
            if anchor.device is not None:
                await journal.note(fact, quote(anchor.fact, errors=_RAW))

    def _recall(self, path: str) -> None:
        anchor, before = self.anchors[path], self._before[path]
        anchor.holds()  # finds the disk; an unreadable one is awaited
        if before is not None:
            anchor.recall(before)

    def same(self, one: Identity | None, other: Identity) -> bool:
        """Whether two identities, seen at the same path, are of the same unchanged file.

        Device numbers are not compared, since a reboot may change them: every song in the inbox
        would then seem new, and those that are kept there would be delivered again.
        """
        if one is None:
            return False
        if not self.network and one.inode != other.inode:
            return False
        return (one.size, one.mtime_ns) == (other.size, other.mtime_ns)


def require_listing(folder: str) -> None:
    """Raise OSError unless the folder can be listed.

    A `stat` is not enough: `rclone mount` answers it from memory for the top of a share while the
    server is away.
    """
    with os.scandir(folder) as entries:
        next(entries, None)


def hangs(path: str, code: str) -> PauseService:
    """The pause for a folder whose disk does not answer."""
    what = f"the inbox {path}" if code == Code.INBOX else path
    return PauseService(f"{what} does not answer.", code=code, hint=HUNG)


def unlisted(inbox: str, fault: OSError) -> PauseService:
    """The pause for an inbox that exists but can't be listed: its songs are not gone."""
    hint = HUNG
    if fault.errno in (errno.EACCES, errno.EPERM):
        hint = f"Give uid {os.geteuid()} read permission there; work goes on by itself."
    return PauseService(
        f"the inbox {inbox} can't be listed: {fault.strerror}.", code=Code.INBOX, hint=hint
    )


def top_of(path: str) -> str:
    """The uppermost folder above `path` up to which all folders are on the disk of `path`.

    Raises OSError if `path` can't be reached.
    """
    top = os.path.realpath(path)
    device = os.stat(top).st_dev
    while (parent := os.path.dirname(top)) != top:
        try:
            if os.stat(parent).st_dev != device:
                break
        except OSError:  # this account may not look at it
            break
        top = parent
    return top


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return all(entry.name.startswith(".") for entry in entries)
    except OSError:
        return False
