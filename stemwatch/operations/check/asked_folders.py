"""`check`, the folders: whether they can be used and watched, have room, and agree with the clock.

The disk of one may hang, such as a share whose server is gone. That is told as a fault, and its
folder is asked nothing more.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from stemwatch.config import Inbox, Settings, folder_faults
from stemwatch.config.folders import CHECK
from stemwatch.disks.hanging import PATIENCE, NoAnswer, Reach
from stemwatch.disks.mounts import WatchMode, watch_mode
from stemwatch.disks.places import HUNG, require_listing
from stemwatch.disks.space import needed_bytes
from stemwatch.errors import PauseService
from stemwatch.inbox.names import Filter
from stemwatch.operations.check import renames
from stemwatch.operations.check.finding import FAULT, OK, WARNING, Finding
from stemwatch.operations.words import counted
from stemwatch.outbox import staging

_OLDEST = 1704067200.0  # 2024-01-01: a clock that shows an earlier time was never set
_SKEW = 5.0  # seconds that a file's time may differ from this machine's clock
_SONG = 300.0  # seconds: the disks should have space for a song of this length
_STATE_ROOM = 50_000_000  # bytes
_WATCHES = "/proc/sys/fs/inotify/max_user_watches"
_LONG = 6  # times the patience, for what is asked of a whole folder

T = TypeVar("T")


class Asked:
    """The folders of all inboxes and state_dir: each is asked until it leaves a question open."""

    def __init__(self, settings: Settings, patience: float = PATIENCE) -> None:
        """`patience`: seconds that a disk may take for one answer."""
        self.keys = {
            path: inbox.key("folders", name)
            for inbox in settings.every_inbox
            for name, path in inbox.folders.used()
        }
        self.keys[settings.state_dir] = "state_dir"
        self._hung: set[str] = set()
        self._reach = Reach(patience)

    async def each(self, look: Callable[[str], T], *paths: str, times: int = 1) -> dict[str, T]:
        """What `look` says of each path, side by side; not of those that hang, now or before."""
        asked = [path for path in paths if path not in self._hung]
        said = await asyncio.gather(*(self._ask(look, path, times) for path in asked))
        return {path: one for path, answer in zip(asked, said, strict=True) for one in answer}

    async def _ask(self, look: Callable[[str], T], path: str, times: int) -> list[T]:
        try:
            return await self._reach.ask(look, path, times=times)
        except NoAnswer:
            self._hung.add(path)
            return []

    def hung(self) -> Iterator[Finding]:
        """A fault for each folder that did not answer."""
        for path, key in self.keys.items():
            if path in self._hung:
                yield Finding(FAULT, f"{key}: {path} does not answer", HUNG)


async def usable(settings: Settings, asked: Asked) -> list[Finding]:
    """Whether the folders can be written to. Those that are missing are not made."""
    # Side by side: a share may have all of them. `stat` and the like may be answered from memory.
    await asked.each(_disk, *asked.keys)
    await asked.each(_listing, *asked.keys, times=_LONG)
    faults: dict[str, list[Finding]] = {}
    for path, key in asked.keys.items():  # in turn: they would disturb each other in one parent
        faults |= await asked.each(partial(_faults, settings, key), path, times=_LONG)
    found = [fault for those in faults.values() for fault in those]
    well = {path for path, those in faults.items() if not those}
    for inbox in settings.every_inbox:
        used = [path for _, path in inbox.folders.used()]
        if not well.issuperset(used):
            continue
        if inbox == settings.every_inbox[-1] and settings.state_dir in well:
            used.append(settings.state_dir)
        told = f"{inbox.key('folders')}: written, renamed and deleted in {', '.join(used)}"
        found.append(Finding(OK, told))
        traps = await asked.each(partial(_traps, inbox), inbox.folders.inbox, times=_LONG)
        found += [trap for those in traps.values() for trap in those]
    return found


def _disk(folder: str) -> None:
    with suppress(OSError):  # what is wrong is asked for later; here, whether anybody answers
        os.statvfs(folder)


def _listing(folder: str) -> None:
    with suppress(OSError):
        require_listing(folder)


def _faults(settings: Settings, key: str, path: str) -> list[Finding]:
    """What is wrong with one folder; in an outbox, also what has the staging folder's name."""
    faults = [Finding(FAULT, fault) for fault in folder_faults(settings, below=key)]
    if not faults and key.endswith("folders.outbox") and os.path.isdir(path):  # else not made yet
        try:
            staging.require(path)
        except PauseService as fault:
            return [Finding(FAULT, f"{key}: {fault.message}", fault.hint)]
    return faults


def _traps(inbox: Inbox, _root: str) -> list[Finding]:
    found = renames.traps(inbox)
    return [Finding(WARNING, f"folders: {trap.sentence}", renames.HINT) for trap in found]


async def clock(asked: Asked, *folders: str) -> Finding:
    """Check the clock, also against the times of new files in these folders."""
    stamps = await asked.each(_stamp, *folders)
    found = {folder: stamp for folder, stamp in stamps.items() if stamp is not None}
    return clock_finding(time.time(), found)


def _stamp(folder: str) -> float | None:
    name = os.path.join(folder, f"{CHECK}{secrets.token_hex(6)}")
    try:
        with open(name, "xb"):
            pass
        stamp = os.stat(name).st_mtime
        os.unlink(name)
    except OSError:
        return None  # another finding reports a folder that can't be written
    return stamp


def clock_finding(now: float, stamps: Mapping[str, float]) -> Finding:
    """Compare `now` with `stamps`, the time of a new file in each folder. All in Unix seconds."""
    if now < _OLDEST:
        year = time.gmtime(now).tm_year
        return Finding(
            FAULT,
            f"clock: it says {year}; certificates and budgets need the right time",
            "Set it, or start an NTP client: `timedatectl set-ntp true`.",
        )
    for folder, stamp in stamps.items():
        if abs(stamp - now) > _SKEW:
            return Finding(
                WARNING,
                f"clock: files in {folder} get a time that is {stamp - now:+.0f} s off",
                "That disk's server has another time; let both use NTP.",
            )
    return Finding(OK, "clock: plausible, and the disks agree with it")


async def watching(settings: Settings, asked: Asked) -> list[Finding]:
    """One finding for each way of watching. All inboxes count together: they share a limit."""
    modes: dict[str, tuple[WatchMode, int]] = {}
    roots = [inbox.folders.inbox for inbox in settings.every_inbox]
    seen = await asked.each(partial(_watched, settings), *roots, times=_LONG)
    for mode, folders in filter(None, seen.values()):
        _, before = modes.get(mode.mode, (mode, 0))
        modes[mode.mode] = (mode, before + folders)
    return [watch_finding(mode, folders, _watch_limit()) for mode, folders in modes.values()]


def _watched(settings: Settings, root: str) -> tuple[WatchMode, int] | None:
    """How an inbox is watched, and the number of its folders."""
    try:
        mode = watch_mode(settings.watch.mode, root)
    except OSError:
        return None  # the folders' findings report it
    filter = Filter(settings.watch.extensions, settings.watch.ignore)
    count = 0
    for _folder, below, _files in os.walk(root):
        below[:] = [name for name in below if not filter.prunes(name)]
        count += 1
    return mode, count


def watch_finding(mode: WatchMode, folders: int, limit: int | None) -> Finding:
    """`folders` is the number of folders to watch, `limit` this account's limit (None: unknown)."""
    if mode.mode == "poll":
        return Finding(OK, f"watching: by looking every rescan ({mode.reason})")
    if limit is not None and folders > limit:
        return Finding(
            FAULT,
            f"watching: {counted(folders, 'folder')} in the inbox, inotify allows {limit}",
            f"`sudo sysctl fs.inotify.max_user_watches={max(524288, folders * 2)}`, or "
            "`watch.mode: poll`.",
        )
    if mode.network:
        return Finding(
            WARNING,
            "watching: inotify on a network mount, which does not tell what others write",
            "`watch.mode: auto` looks by itself there.",
        )
    allowed = f"{limit} allowed" if limit is not None else "an unknown limit"
    return Finding(OK, f"watching: inotify, {counted(folders, 'folder')} of {allowed}")


def _watch_limit() -> int | None:
    try:
        return int(Path(_WATCHES).read_text())
    except (OSError, ValueError):
        return None if sys.platform == "linux" else 0


async def room(settings: Settings, asked: Asked) -> list[Finding]:
    """Whether the outboxes and state_dir have space for a song."""
    needs = {
        inbox.folders.outbox: needed_bytes(_SONG, inbox.options_for("song"))
        for inbox in settings.every_inbox
    }
    needs[settings.state_dir] = _STATE_ROOM
    free = await asked.each(_free, *needs)
    return [
        _room(asked.keys[folder], left, needs[folder])
        for folder, left in free.items()
        if left is not None
    ]


def _room(name: str, free: int, need: int) -> Finding:
    room = f"{name}: {free / 1e9:.1f} GB free on its disk"
    if free < need:
        want = f"{room}; a song of five minutes" if name != "state_dir" else f"{room}; it"
        return Finding(FAULT, f"{want} needs {need / 1e6:.0f} MB", "Make room there.")
    return Finding(OK, room)


def _free(folder: str) -> int | None:
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)  # not made yet: ask the disk that it will be on
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
