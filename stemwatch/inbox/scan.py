"""Scans the inbox for songs. A scan is the truth; events are only hints.

Memory stays flat: one directory at a time, in slices of `SLICE` entries.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from stemwatch.inbox.names import Filter, holds_back, temp_siblings
from stemwatch.inbox.unchanged_folders import Folders
from stemwatch.inbox.writing.stale import is_stale
from stemwatch.job import Identity

SLICE = 4096  # entries of one directory that are sorted and held at a time

OnError = Callable[[str, OSError], None]
_by_name = attrgetter("name")


def _ignore(*_: object) -> None:
    """The default callback: does nothing."""


class Offline(Exception):
    """The inbox is missing, or another disk is mounted there: missing files prove nothing."""


class Found(NamedTuple):
    """A regular file with the name of a song. It may be empty or half-written."""

    path: str  # absolute if the root was
    relpath: str  # below the root, with "/"
    identity: Identity


class _Sink(NamedTuple):
    filter: Filter
    on_error: OnError
    now: float  # Unix seconds
    on_passed: Callable[[str, str], None]


def scan(
    root: str,
    filter: Filter,
    *,
    below: str | None = None,
    folders: Folders | None = None,
    on_error: OnError = _ignore,
    on_passed: Callable[[str, str], None] = _ignore,
    clock: Callable[[], float] = time.time,
) -> Iterator[Found]:
    """Yield every song in `root` (or in its subfolder `below`), folder by folder, as it is found.

    Songs are sorted by name within a folder of up to `SLICE` entries, in sorted slices above that.
    Symlinks are neither yielded nor followed. `on_error` is called at most once a scan for each
    folder that can't be read; `on_passed` with the path (below the root) of each file that looks
    like music and is not taken, and why. Left out are a song with a temp file beside it that is not
    stale, and songs in folders that `folders` knows to be unchanged.

    Raises `Offline`, before the first song or after the last, where the root is missing, is no
    directory, can't be listed, or is on another disk than when the scan began.
    """
    sink = _Sink(filter, on_error, clock(), on_passed)
    device = root_device(root)
    pending: list[tuple[str, str]] = []
    start = "" if below is None else os.path.relpath(below, root)
    if start in {"", "."}:
        pending.append((root, ""))
    elif _reachable(root, start, filter):
        pending.append((os.path.join(root, start), f"{start}/"))
    while pending:
        directory, prefix = pending.pop()
        below_it: list[tuple[str, str]] = []
        try:
            passed = None if folders is None else folders.passed(directory)
            if passed is not None:
                below_it += passed
            elif (yield from _songs(directory, prefix, sink, below_it)) and folders is not None:
                folders.looked_through(directory, below_it)
        except OSError as error:
            if directory == root:  # an inbox that can't be listed would seem empty
                raise Offline(f"{root}: {error.strerror}") from error
            _report(directory, error, sink)
        below_it.sort(reverse=True)
        pending += below_it
    # If the disk was unmounted meanwhile, the rest seemed empty: such a scan must not count.
    root_device(root, device)


def find(root: str, filter: Filter, path: str, *, now: float | None = None) -> Found | None:
    """The song at `path`, by the rules of `scan`, without listing its folder; None: no song now.

    Raises `Offline` like `scan`.
    """
    root_device(root)
    relpath = os.path.relpath(path, root)
    folder, _, name = relpath.rpartition("/")
    if not filter.wanted(name, relpath) or not _reachable(root, folder, filter):
        return None
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    parent, now = os.path.dirname(path), time.time() if now is None else now
    if any(not is_stale(os.path.join(parent, temp), now) for temp in temp_siblings(name)):
        return None
    return Found(path, relpath, Identity.of(status))


def root_device(root: str, expected: int | None = None) -> int:
    """The `st_dev` of the inbox. Raises `Offline` if it is no folder, or not the `expected` one."""
    try:
        status = os.stat(root)
    except OSError as error:
        raise Offline(f"{root}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise Offline(f"{root} is not a folder")
    if expected is not None and status.st_dev != expected:
        raise Offline(f"{root} is on another disk than before: is its mount gone?")
    return status.st_dev


def _songs(
    directory: str, prefix: str, sink: _Sink, folders: list[tuple[str, str]]
) -> Generator[Found, None, bool]:
    """Yield the songs of one directory and add its subfolders to `folders`.

    Returns whether the `lstat` of all songs succeeded.
    """
    base = os.path.join(directory, "")
    held: set[str] = set()
    reported = False
    with os.scandir(directory) as entries:
        now = list(islice(entries, SLICE))
        if len(now) == SLICE:
            held = _all_held(directory, sink)  # temp files may come in a later slice
        while now:
            for entry in _classify(now, base, prefix, sink, folders, held):
                name = entry.name
                if held and name.lower() in held:
                    sink.on_passed(prefix + name, "a temp file beside it shows that it is written")
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    # A folder that may be listed but not entered refuses all files: report it once.
                    if not reported:
                        reported = True
                        sink.on_error(directory, error)
                    continue
                identity = Identity(
                    status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
                )
                yield Found(base + name, prefix + name, identity)
            now = list(islice(entries, SLICE))
    return not reported


def _classify(
    entries: list[os.DirEntry[str]],
    base: str,
    prefix: str,
    sink: _Sink,
    folders: list[tuple[str, str]],
    held: set[str],
) -> list[os.DirEntry[str]]:
    """The songs among `entries`, sorted by name.

    Adds subfolders to `folders`, and the final names of temp files to `held`.
    """
    songs, filter = [], sink.filter
    for entry in entries:
        name = entry.name
        if filter.wanted(name, prefix + name) and entry.is_file(follow_symlinks=False):
            songs.append(entry)
        elif entry.is_dir(follow_symlinks=False):
            if not filter.prunes(name, prefix + name):
                folders.append((base + name, f"{prefix}{name}/"))
            elif temp_of := _held_by(entry, sink.now):
                held.add(temp_of)
        elif temp_of := _held_by(entry, sink.now):
            held.add(temp_of)
        elif entry.is_symlink() and _may_be_meant(name, prefix + name, filter):
            sink.on_passed(prefix + name, "it is a link")
        elif why := filter.passes_over(name, prefix + name):
            sink.on_passed(prefix + name, why)
    songs.sort(key=_by_name)
    return songs


def _may_be_meant(link: str, relpath: str, filter: Filter) -> bool:
    """Whether a link looks like a song's, or has no ending: then it is a folder's, as a rule."""
    return filter.wanted(link, relpath) or ("." not in link and not filter.prunes(link, relpath))


def _all_held(directory: str, sink: _Sink) -> set[str]:
    with os.scandir(directory) as entries:
        temps = (entry for entry in entries if not sink.filter.wanted(entry.name))
        return {base for entry in temps if (base := _held_by(entry, sink.now))}


def _held_by(entry: os.DirEntry[str], now: float) -> str | None:
    """The name, in lower case, of the song that this temp file or bundle holds back; or None."""
    base = holds_back(entry.name)
    return None if base is None or is_stale(entry.path, now) else base


def _reachable(root: str, folder: str, filter: Filter) -> bool:
    """Whether a scan of the root reaches `folder`: below it, through no pruned name or symlink."""
    path, relpath = root, ""
    for part in folder.split("/") if folder else ():
        path = os.path.join(path, part)
        relpath = f"{relpath}/{part}" if relpath else part
        if part == ".." or filter.prunes(part, relpath):
            return False
        with suppress(OSError):
            if stat.S_ISDIR(os.lstat(path).st_mode):
                continue
        return False
    return True


def _report(directory: str, error: OSError, sink: _Sink) -> None:
    # Folders that have just vanished are no error.
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        sink.on_error(directory, error)
