"""Runs every check of `stemwatch check`: folders, audio, key, API, clock, disks."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.config import Settings, folder_faults
from stemwatch.config.folders import CHECK
from stemwatch.disks.mounts import WatchMode, watch_mode
from stemwatch.disks.space import needed_bytes
from stemwatch.errors import JournalFault, PauseService, StemwatchError
from stemwatch.extras import installed
from stemwatch.inbox.names import Filter
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.journal.schema import JOURNAL
from stemwatch.operations.check import renames
from stemwatch.operations.check.api import reach
from stemwatch.operations.check.finding import FAULT, OK, WARNING, Finding, counted
from stemwatch.operations.check.notices import notices
from stemwatch.operations.status import service
from stemwatch.outbox import staging
from stemwatch.web.listening import looked_at

_OLDEST = 1704067200.0  # 2024-01-01: a clock that shows an earlier time was never set
_SKEW = 5.0  # seconds that a file's time may differ from this machine's clock
_SONG = 300.0  # seconds: the disks should have space for a song of this length
_STATE_ROOM = 50_000_000  # bytes
_PLACES = frozenset({"folders", "inboxes", "state_dir"})  # sections that say where folders are
_WATCHES = "/proc/sys/fs/inotify/max_user_watches"


async def check(
    settings: Settings,
    env: Mapping[str, str],
    cwd: str,
    *,
    notify: bool = False,
    doubtful: Set[str] = frozenset(),
) -> list[Finding]:
    """Check everything that `run` needs, without changing or spending anything.

    `notify` sends a test message to all configured addresses. Checks that depend on a section in
    `doubtful`, whose configuration is faulty, are left out: a key must not be sent to a wrong
    address, and a default folder is not the user's.
    """
    places = _PLACES & doubtful
    found = [_left_out("folders, watching, room", places)] if places else [*_folders(settings)]
    found.append(await _audio())
    found.append(upload_finding(settings))
    if "api" in doubtful and not settings.local:
        found.append(_left_out("key, API", {"api"}))
    else:
        found += await reach(settings, env, cwd)
    found += await asyncio.to_thread(lambda: [*_clock(settings, look=not places)])
    if not places:
        found += await asyncio.to_thread(lambda: [*_watching(settings), *_room(settings)])
    if told := {"notify", "hooks"} & doubtful:
        found.append(_left_out("notify, hooks", told))
    else:
        found += await notices(settings, env, test=notify)
    if "state_dir" not in doubtful:
        found.append(await _journal(settings))
        found += _service(settings, web="web" not in doubtful)
    return found


def _left_out(what: str, sections: Set[str]) -> Finding:
    mend = f"Mend {' and '.join(sorted(sections))} first."
    return Finding(WARNING, f"{what}: not looked at, as the configuration doesn't say where", mend)


def _folders(settings: Settings) -> Iterator[Finding]:
    faults = folder_faults(settings)
    for fault in faults:
        yield Finding(FAULT, fault)
    if not faults and (odd := [*_odd_outboxes(settings)]):
        yield from odd
    elif not faults:
        for inbox in settings.every_inbox:
            used = [path for _, path in inbox.folders.used()]
            used += [settings.state_dir] if inbox == settings.every_inbox[-1] else []
            key = inbox.key("folders")
            yield Finding(OK, f"{key}: written, renamed and deleted in {', '.join(used)}")
        for trap in renames.traps(settings):
            yield Finding(WARNING, f"folders: {trap.sentence}", renames.HINT)


def _odd_outboxes(settings: Settings) -> Iterator[Finding]:
    """Faults of outboxes in which something else has the name of the hidden staging folder."""
    for inbox in settings.every_inbox:
        if not os.path.isdir(inbox.folders.outbox):
            continue  # not made yet
        try:
            staging.require(inbox.folders.outbox)
        except PauseService as fault:
            yield Finding(FAULT, f"{inbox.key('folders', 'outbox')}: {fault.message}", fault.hint)


async def _audio() -> Finding:
    audio = AudioHelper()
    try:
        await audio.test()
    except PauseService as fault:
        return Finding(FAULT, f"audio: {fault.message}", fault.hint)
    finally:
        await audio.close()
    return Finding(
        OK, f"audio: WAV, FLAC and MP3 were written and read ({installed('av', 'mutagen')})"
    )


def upload_finding(settings: Settings) -> Finding:
    """In which form songs are sent."""
    if settings.local:
        return Finding(OK, "prepare: songs are sent as they are, since they stay on this machine")
    if settings.prepare.upload == "original":
        return Finding(OK, "prepare: songs are sent as they are (prepare.upload: original)")
    low = "; so are MP3s below 192 kbit/s" if settings.prepare.low_bitrate == "flac" else ""
    return Finding(OK, f"prepare: lossless songs are sent as FLAC (prepare.upload: auto){low}")


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


def _clock(settings: Settings, *, look: bool) -> Iterator[Finding]:
    """Check the clock; with `look`, also against the times of new files in the folders."""
    stamps = {}
    folders = (settings.state_dir, *(i.folders.outbox for i in settings.every_inbox))
    for folder in folders if look else ():
        name = os.path.join(folder, f"{CHECK}{secrets.token_hex(6)}")
        with suppress(OSError):  # another finding reports a folder that can't be written
            with open(name, "xb"):
                pass
            stamps[folder] = os.stat(name).st_mtime
            os.unlink(name)
    yield clock_finding(time.time(), stamps)


def _watching(settings: Settings) -> Iterator[Finding]:
    """One finding for each way of watching. All inboxes count together: they share a limit."""
    modes: dict[str, tuple[WatchMode, int]] = {}
    filter = Filter(settings.watch.extensions, settings.watch.ignore)
    for inbox in (one.folders.inbox for one in settings.every_inbox):
        try:
            mode = watch_mode(settings.watch.mode, inbox)
        except OSError:
            continue  # the folders' findings report it
        _, before = modes.get(mode.mode, (mode, 0))
        modes[mode.mode] = (mode, before + _count_folders(inbox, filter))
    for mode, folders in modes.values():
        yield watch_finding(mode, folders, _watch_limit())


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


def _count_folders(inbox: str, filter: Filter) -> int:
    count = 0
    for _folder, below, _files in os.walk(inbox):
        below[:] = [name for name in below if not filter.prunes(name)]
        count += 1
    return count


def _room(settings: Settings) -> Iterator[Finding]:
    outboxes = (
        (i.key("folders", "outbox"), i.folders.outbox, needed_bytes(_SONG, i.options_for("song")))
        for i in settings.every_inbox
    )
    for name, folder, need in (*outboxes, ("state_dir", settings.state_dir, _STATE_ROOM)):
        free = _free(folder)
        if free is None:
            continue
        room = f"{name}: {free / 1e9:.1f} GB free on its disk"
        if free < need:
            want = f"{room}; a song of five minutes" if name != "state_dir" else f"{room}; it"
            yield Finding(FAULT, f"{want} needs {need / 1e6:.0f} MB", "Make room there.")
        else:
            yield Finding(OK, room)


def _free(folder: str) -> int | None:
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)  # not made yet: ask the disk that it will be on
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


async def _journal(settings: Settings) -> Finding:
    path = os.path.join(settings.state_dir, JOURNAL)
    if not os.path.exists(path):
        return Finding(OK, f"journal: none yet; it will be {path}")
    try:
        journal = ReadOnlyJournal(path)
        try:
            await journal.check()
            jobs = sum((await journal.counts()).values())
        finally:
            journal.close()
    except JournalFault as fault:
        return Finding(FAULT, f"journal: {fault.message}", fault.hint)
    return Finding(OK, f"journal: readable and whole, {counted(jobs, 'song')}")


def _service(settings: Settings, *, web: bool) -> Iterator[Finding]:
    try:
        running, _ = service(settings.state_dir)
        yield Finding(OK, "service: running" if running else "service: not running")
        if web and (told := looked_at(settings.web, running=running)) is not None:
            yield Finding(OK, told)
    except StemwatchError as fault:
        yield Finding(FAULT, fault.message, fault.hint)
