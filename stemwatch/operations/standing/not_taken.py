"""Files in an inbox that are not taken, or not yet, each with its reason.

`status` scans the inbox itself, by the rules of the service's own rounds. So the list is true while
the service is stopped, and costs a running service nothing. The document for one inbox:

    count, more (true: not all of it was scanned), fault (null, or why it can't be scanned)
    reasons     the number of files for each of the reasons below
    endings     the number of files of each ending with the reason `kind`, such as {".zip": 2}
    files       relpath, reason, detail (null, a sentence, or the temp file's name), since (null, or
                when that temp file last changed; a day later the song is taken), at most 500
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

from stemwatch.config import Inbox, Settings
from stemwatch.config.groups.presets import near_miss
from stemwatch.disks.hanging import NoAnswer, Reach
from stemwatch.disks.leases import is_written
from stemwatch.disks.mounts import watch_mode
from stemwatch.disks.opening import NotYet, open_regular
from stemwatch.disks.places import require_listing
from stemwatch.inbox import headers
from stemwatch.inbox.names import Filter, holds_back
from stemwatch.inbox.settle import quiet_seconds
from stemwatch.inbox.writing.stale import is_stale, last_change
from stemwatch.job import ACTIVE, Identity, JobState
from stemwatch.journal.journal import Journal
from stemwatch.log import redacted
from stemwatch.outbox.sidecar import rfc3339

CHANGING = "changing"  # it changed within its quiet window
INCOMPLETE = "incomplete"  # its own header promises more bytes
WRITING = "writing"  # another program has it open for writing
HELD = "held"  # a temp file beside it shows that it is still being written
UNFINISHED = "unfinished"  # a temp file without the file that it will become
NEXT = "next"  # it is whole, and is taken at the next scan
NEAR_MISS = "near_miss"  # the same, in a folder whose name is nearly a preset's
KIND = "kind"  # its extension is not one that is taken
HIDDEN = "hidden"  # its name begins with a dot
IGNORED = "ignored"  # a pattern of `watch.ignore` matches it
NAME = "name"  # another name that is not taken, such as a sync conflict's
LINK = "link"  # symlinks are not followed
UNREADABLE = "unreadable"
# fmt: off
REASONS = (
    CHANGING, WRITING, INCOMPLETE, HELD, UNFINISHED, NEXT, NEAR_MISS, KIND, HIDDEN, IGNORED, NAME,
    LINK, UNREADABLE,
)
# fmt: on

PATIENCE = 3.0  # seconds that a disk may take, since a person waits at a terminal
# Kept for `status --watch`: a look that ended leaves its thread to the next.
_DISKS = Reach(PATIENCE)
_ENTRIES = 20_000  # entries of folders that are scanned at most
_OPENED = 200  # files whose header is read
_LISTED = 500
_SLICE = 500  # paths in one query of the journal
_SKEW = 5.0  # seconds by which a share's clock may be ahead

Document = dict[str, Any]
_Held = Mapping[str, os.DirEntry[str]]  # lower-case name of a file -> its temp file


class _Left(NamedTuple):
    """One file and its reason. `identity` is set for a song: a regular file that is not held."""

    relpath: str
    reason: str
    detail: str | None = None
    identity: Identity | None = None
    changed: float = 0.0  # Unix seconds


class _Seen(NamedTuple):
    files: list[_Left]
    more: bool
    quiet: float
    leases: bool  # whether the kernel knows who writes there


async def not_taken(
    settings: Settings, inbox: Inbox, journal: Journal, now: float, disks: Reach = _DISKS
) -> Document:
    """The document above for `inbox`."""
    root = inbox.folders.inbox
    try:
        await disks.ask(require_listing, root)
        (seen,) = await disks.ask(partial(_look, settings, now), root)
        unknown = await _unknown(journal, root, seen.files)
        (judged,) = await disks.ask(partial(_judged, unknown, seen, now), root)
    except NoAnswer:
        return _document([], more=True, fault=f"its disk did not answer within {PATIENCE:.0f} s")
    except OSError as fault:
        return _document([], more=True, fault=fault.strerror or str(fault))
    told = [_near_miss(one, inbox) if one.reason == NEXT else one for one in judged]
    return _document(told, more=seen.more, fault=None)


def _near_miss(one: _Left, inbox: Inbox) -> _Left:
    miss = near_miss(one.relpath, inbox.presets)
    return one if miss is None else one._replace(reason=NEAR_MISS, detail=redacted(miss))


def _document(files: list[_Left], *, more: bool, fault: str | None) -> Document:
    endings = Counter(os.path.splitext(f.relpath)[1].lower() for f in files if f.reason == KIND)
    return {
        "count": len(files),
        "more": more,
        "fault": fault,
        "reasons": dict(Counter(file.reason for file in files)),
        "endings": {redacted(ending): count for ending, count in endings.most_common()},
        "files": [
            {
                "relpath": redacted(file.relpath),
                "reason": file.reason,
                "detail": file.detail,
                "since": rfc3339(file.changed) if file.reason == HELD else None,
            }
            for file in files[:_LISTED]
        ],
    }


# -- scanning the inbox ------------------------------------------------------------------------


def _look(settings: Settings, now: float, root: str) -> _Seen:
    """Scan the inbox for songs, and for files whose name or kind is not taken.

    Raises OSError if the root can't be listed.
    """
    watch = settings.watch
    mode = watch_mode(watch.mode, root)
    names = _Names(Filter(watch.extensions, watch.ignore), watch.ignore)
    files: list[_Left] = []
    pending, entries = [""], 0
    while pending and entries < _ENTRIES:
        folder = pending.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as found:
                below = [entry for _, entry in zip(range(_ENTRIES - entries), found, strict=False)]
        except OSError as fault:
            if not folder:
                raise
            files.append(_Left(folder, UNREADABLE, fault.strerror))
            continue
        entries += len(below)
        below.sort(key=lambda entry: entry.name)
        held = {
            base: entry
            for entry in below
            if (base := holds_back(entry.name)) and not is_stale(entry.path, now)
        }
        for entry in below:
            relpath = os.path.join(folder, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if names.filter.prunes(entry.name, relpath):
                    files += names.folder(entry, relpath)
                else:
                    pending.append(relpath)
            else:
                files += names.judge(entry, relpath, held)
    more = bool(pending) or entries >= _ENTRIES
    quiet = quiet_seconds(watch.settle_seconds, network=mode.network)
    return _Seen(files, more, quiet, mode.leases)


class _Names:
    """Judges the files of one inbox by their names."""

    def __init__(self, filter: Filter, ignore: tuple[str, ...]) -> None:
        self.filter = filter
        self._ignore = ignore
        self._of_kind = lru_cache(maxsize=256)(self._filter_of)

    def _filter_of(self, extension: str) -> Filter:
        """A filter that takes `extension`: a file that it does not want is junk or ignored."""
        return Filter([extension], self._ignore)

    def judge(self, entry: os.DirEntry[str], relpath: str, held: _Held) -> Iterator[_Left]:
        """Yield the file with its reason, or nothing for junk."""
        name = entry.name
        if self.filter.wanted(name, relpath):
            yield from self._song(entry, relpath, held)
            return
        base = holds_back(name)
        if base is not None:
            there = os.path.join(os.path.dirname(entry.path), base)
            if self.filter.wanted(base) and not os.path.lexists(there):
                yield _Left(relpath, UNFINISHED)
            return
        extension = name.rpartition(".")[2].lower() if "." in name else ""
        if extension in self.filter.extensions:
            if not name.startswith("._"):  # metadata that macOS puts beside each file
                yield _Left(relpath, self._by_name(name, relpath))
        elif not extension and self.filter.ignores(name, relpath):
            return
        elif not extension or self._of_kind(extension).wanted(name, relpath):
            yield _Left(relpath, LINK if entry.is_symlink() else KIND)  # a folder, as a rule

    def folder(self, entry: os.DirEntry[str], relpath: str) -> Iterator[_Left]:
        """Yield a folder that something is unpacked or downloaded to."""
        if holds_back(entry.name) or entry.name.lower().startswith("_unpack_"):
            yield _Left(relpath, UNFINISHED)

    def _by_name(self, name: str, relpath: str) -> str:
        if self.filter.ignores(name, relpath):
            return IGNORED
        return HIDDEN if name.startswith(".") else NAME

    def _song(self, entry: os.DirEntry[str], relpath: str, held: _Held) -> Iterator[_Left]:
        if entry.is_symlink():
            yield _Left(relpath, LINK)
        elif entry.is_file(follow_symlinks=False):
            beside = held.get(entry.name.lower())
            try:
                if beside is not None:
                    since = last_change(beside.path)
                    yield _Left(relpath, HELD, redacted(beside.name), changed=since)
                    return
                stat = entry.stat(follow_symlinks=False)
            except OSError:
                return  # it has just vanished, or its folder is reported as unreadable
            changed = max(stat.st_mtime, stat.st_ctime)
            yield _Left(relpath, NEXT, identity=Identity.of(stat), changed=changed)


# -- judging the songs that the journal does not know ------------------------------------------


async def _unknown(journal: Journal, root: str, files: list[_Left]) -> list[_Left]:
    """`files` without the songs that the journal knows."""
    left = []
    for start in range(0, len(files), _SLICE):
        part = files[start : start + _SLICE]
        paths = {one: os.path.join(root, one.relpath) for one in part if one.identity is not None}
        known = await journal.known(list(paths.values())) if paths else {}
        left += [one for one in part if not _is_taken(one, known.get(paths.get(one, ""), []))]
    return left


def _is_taken(one: _Left, rows: list[tuple[JobState, Identity, bool]]) -> bool:
    """Whether the journal knows the song. Inodes are not compared: a share may invent them."""
    return one.identity is not None and any(
        one.identity[2:] == known[2:] and (state in ACTIVE or not filed)
        for state, known, filed in rows
    )


def _judged(files: list[_Left], seen: _Seen, now: float, root: str) -> list[_Left]:
    """Judge the songs among `files` by their times and headers; the others stay as they are."""
    judged, opened = [], 0
    for one in files:
        if one.identity is None:
            judged.append(one)
        elif -_SKEW <= now - one.changed < seen.quiet:
            judged.append(one._replace(reason=CHANGING))
        elif opened < _OPENED:
            opened += 1
            judged += _by_content(one, os.path.join(root, one.relpath), leases=seen.leases)
        else:
            judged.append(one)
    return judged


def _by_content(one: _Left, path: str, *, leases: bool) -> Iterator[_Left]:
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return  # it was removed or filed just now
    except NotYet as fault:
        yield one._replace(reason=UNREADABLE, detail=fault.strerror)
        return
    try:
        if leases and is_written(descriptor):
            yield one._replace(reason=WRITING)
            return
        lack = headers.look(descriptor)
    except OSError as fault:
        yield one._replace(reason=UNREADABLE, detail=fault.strerror)
    else:
        yield one if lack is None else one._replace(reason=INCOMPLETE, detail=lack.message)
    finally:
        os.close(descriptor)
