"""Unchanged folders, which a rescan skips: no name in them has come or gone since.

A name that comes, goes or changes makes its folder's times new, so one stat tells. A file that is
rewritten in place does not, so every few rounds everything is looked through all the same; files
that settle are sampled by their own path meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stemwatch.disks.mounts import Mode
from stemwatch.log import log

# A change within one tick of the file system's clock (2 s on FAT) leaves the times as they are: a
# folder is trusted only once it was looked through so long after its times were first seen.
_YOUNG = 3.0
# Rounds to one of everything. With events that one is for rewritten songs whose event was lost;
# without them, for every rewritten song.
_EVERY: Mapping[Mode, int] = {"inotify": 10, "poll": 4}
_MOST = 20_000  # folders that are remembered; those beyond are looked through each time

Subfolder = tuple[str, str]  # its path, and its prefix below the root


@dataclass(slots=True)
class _Seen:
    times: tuple[int, int, int, int]
    since: float  # when they were first seen
    round: int
    begun: float = 0.0  # when it was last looked through
    subfolders: Sequence[Subfolder] | None = None  # None: not to be trusted yet
    silent: bool = False  # looked through though it told of no change


class Folders:
    """What the rounds know of the folders of one inbox; for one scan at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._round = 0
        self._rest = 0  # rounds that may still pass over folders
        self._whole = True
        self.trusted = True

    def begin(self, mode: Mode, *, whole: bool = False) -> bool:
        """A scan begins; is it of everything? Every so many are by themselves."""
        self._whole = whole or self._rest <= 0 or not self.trusted or not self._seen
        self._rest = _EVERY[mode] - 1 if self._whole else self._rest - 1
        if self._whole:  # what the last round did not come across is gone
            self._seen = {p: seen for p, seen in self._seen.items() if seen.round == self._round}
        self._round += 1
        return self._whole

    def passed(self, path: str) -> Sequence[Subfolder] | None:
        """The subfolders of one that may be passed over; None: look through it. Raises OSError."""
        status = os.stat(path)
        times = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        now = self._clock()
        seen = self._seen.get(path)
        if seen is None or seen.times != times:
            if seen is None and len(self._seen) >= _MOST:
                return None
            self._seen[path] = _Seen(times, now, self._round, begun=now)
            return None
        seen.round, seen.begun = self._round, now
        seen.silent = seen.subfolders is not None and self._whole
        return None if self._whole else seen.subfolders

    def looked_through(self, path: str, subfolders: Sequence[Subfolder]) -> None:
        """All of it was read, and its songs were handed over."""
        seen = self._seen.get(path)
        if seen is not None and seen.begun - seen.since >= _YOUNG:
            seen.subfolders = tuple(subfolders)

    def came(self, path: str) -> None:
        """A song that nobody knew of is at `path`. Had its folder kept quiet about it?

        Then this file system (some that are mounted over the network) tells nothing by its folders'
        times, and nothing is passed over any more.
        """
        seen = self._seen.get(os.path.dirname(path))
        if seen is not None and seen.silent and self.trusted:
            self.trusted = False
            log.info("watch.silent_folders", path=path)

    def doubt(self, path: str) -> None:
        """The song at `path` has to be found again, though nothing changed."""
        self._seen.pop(os.path.dirname(path), None)

    def anew(self) -> Folders:
        """Everything has to be looked through again; a scan that goes on has no say in it."""
        other = Folders(self._clock)
        other.trusted = self.trusted
        return other
