"""Unchanged folders, which a rescan skips: no name in them has come or gone since.

A name that comes, goes or changes updates the times of its folder, so one `stat` of the folder
tells. A file that is rewritten in place does not, so every few rounds all folders are scanned all
the same. Files that are settling are sampled by their own path.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stemwatch.disks.mounts import Mode
from stemwatch.log import log

# A change within one tick of the file system's clock (2 s on FAT) does not show in the times. So a
# folder is trusted only if it was scanned at least so many seconds after its times were first seen.
_YOUNG = 3.0
# Every so many rounds all folders are scanned. With inotify, that finds rewritten songs whose event
# was lost; without it, all rewritten songs.
_EVERY: Mapping[Mode, int] = {"inotify": 10, "poll": 4}
_MOST = 20_000  # folders that are remembered; others are scanned each time

Subfolder = tuple[str, str]  # its path, and its prefix below the root


@dataclass(slots=True)
class _Seen:
    times: tuple[int, int, int, int]
    since: float  # when these times were first seen
    round: int
    begun: float = 0.0  # when its last scan began
    subfolders: Sequence[Subfolder] | None = None  # None: its times can't be trusted yet
    silent: bool = False  # it is scanned although its trusted times show no change


class Folders:
    """The folders of one inbox and their times at the last scan; for one scan at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._round = 0
        self._rest = 0  # rounds until the next scan of all folders
        self._whole = True
        self.trusted = True

    def begin(self, mode: Mode, *, whole: bool = False) -> bool:
        """A scan begins. Returns whether it is of all folders, as `whole` or the count asks."""
        self._whole = whole or self._rest <= 0 or not self.trusted or not self._seen
        self._rest = _EVERY[mode] - 1 if self._whole else self._rest - 1
        if self._whole:  # folders that the last round did not meet are gone
            self._seen = {p: seen for p, seen in self._seen.items() if seen.round == self._round}
        self._round += 1
        return self._whole

    def passed(self, path: str) -> Sequence[Subfolder] | None:
        """The subfolders of a folder that may be skipped; None: it has to be scanned.

        Raises OSError where the folder can't be reached.
        """
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
        """The folder was scanned whole, and its songs were passed on."""
        seen = self._seen.get(path)
        if seen is not None and seen.begun - seen.since >= _YOUNG:
            seen.subfolders = tuple(subfolders)

    def came(self, path: str) -> None:
        """A new song was found at `path`. If its folder's times did not change, trust no folder.

        On some network file systems a new name does not update the times of its folder.
        """
        seen = self._seen.get(os.path.dirname(path))
        if seen is not None and seen.silent and self.trusted:
            self.trusted = False
            log.info("watch.silent_folders", path=path)

    def doubt(self, path: str) -> None:
        """Forget the folder of `path`, so that a scan finds its song again."""
        self._seen.pop(os.path.dirname(path), None)

    def anew(self) -> Folders:
        """An empty copy, for scanning all folders again; a scan under way keeps using this one."""
        other = Folders(self._clock)
        other.trusted = self.trusted
        return other
