"""Reads a file before it is admitted: SHA-256, audio properties, missing bytes.

A file is read ahead of time, in the second half of its quiet window, when it has stood still for a
while: so a song of 100 MB need not be hashed after it has settled. It is read again if it has
changed since, by its ctime as well, because an editor may restore the mtime; and if it may have
changed within one tick of its file system's clock.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.audio.results import Probe
from stemwatch.disks.crew import Crew
from stemwatch.errors import Reject, StemwatchError
from stemwatch.inbox.examine import Examined, examine
from stemwatch.inbox.headers import Lack
from stemwatch.job import Identity
from stemwatch.log import log
from stemwatch.tasks import supervised

READERS = 6  # files that are hashed at once; more would only make a disk seek
AHEAD = 4  # files that are read ahead of time; each counts until it is asked for
_LOOKERS = 2  # threads beside theirs, so that a `stat` need not wait for a song to be hashed
_SMALL = 1 << 20  # bytes of a file that is probed in milliseconds
_TICK = 20_000_000  # ns: within a kernel's tick (4 to 10 ms) a second change leaves the ctime
_SECOND = 1_000_000_000

Same = Callable[[Identity | None, Identity], bool]


class Changed(Exception):
    """The file changed while it was read: its quiet window starts anew."""


class Reading(NamedTuple):
    """What was read of a file. `sha256` is None for an incomplete file, or one too large to read.

    `probe` is None there as well, and where the decoder refused the file: `fault` says why.
    """

    identity: Identity
    ctime_ns: int
    lack: Lack | None
    sha256: str | None
    audio_sha256: str | None = None  # of the sound alone, where that can be told
    probe: Probe | None = None
    fault: Reject | None = None


class _Ahead(NamedTuple):
    """A reading ahead of time. `began` is in Unix ns; setting `given_up` ends its thread."""

    task: asyncio.Task[Reading]
    given_up: threading.Event
    began: int

    def holds(self, reading: Reading) -> bool:
        """Whether the ctime would show any change since: not where it counts whole seconds."""
        old = self.began - reading.ctime_ns
        return reading.lack is None and old > _TICK and reading.ctime_ns % _SECOND != 0


class FileReader:
    """Reads the files of one inbox. `same` tells whether two identities at one path are one file.

    It reads ahead of time only what `expect` names; call that only where ctimes are reliable.
    """

    def __init__(self, audio: AudioHelper, *, max_bytes: int, same: Same) -> None:
        self._audio = audio
        self._max_bytes = max_bytes
        self._same = same
        self._seats = asyncio.Semaphore(READERS)
        self._crew = Crew(READERS + _LOOKERS)
        self._ahead: dict[str, _Ahead] = {}

    def expect(self, path: str) -> None:
        """Read this file now, since it is likely to settle soon, if fewer than `AHEAD` are."""
        self.forget(path)
        if len(self._ahead) < AHEAD:
            given_up, began = threading.Event(), time.time_ns()
            task = supervised(self._read(path, patient=True, given_up=given_up), _in_vain)
            self._ahead[path] = _Ahead(task, given_up, began)

    def forget(self, path: str) -> None:
        """Discard what was read ahead of this file, because it changed or is gone."""
        if (ahead := self._ahead.pop(path, None)) is not None:
            ahead.given_up.set()
            ahead.task.cancel()

    async def close(self) -> None:
        """End all readings ahead of time; otherwise they would outlive the audio helpers."""
        tasks = [ahead.task for ahead in self._ahead.values()]
        for path in list(self._ahead):
            self.forget(path)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def read(self, path: str, *, patient: bool) -> Reading:
        """Read this settled file, or return what was read ahead of time and still holds.

        `patient`: report any bytes that seem to be missing, otherwise only those that surely are.
        Raises Changed, FileNotFoundError, NotYet, or PauseService where no audio can be read.
        """
        ahead = self._ahead.pop(path, None)
        if ahead is not None:
            try:
                reading = await ahead.task
                if ahead.holds(reading) and await self._is_still(path, reading, to_the_ctime=True):
                    return reading
            except Exception:  # noqa: S110 (`_in_vain` logs unforeseen faults)
                pass  # whatever the fault was, the file is read again
        return await self._read(path, patient=patient)

    async def _read(
        self, path: str, *, patient: bool, given_up: threading.Event | None = None
    ) -> Reading:
        self._audio.require_working()  # or the whole inbox would be hashed again and again
        async with self._seats:
            seen = await self._crew.call(examine, path, self._max_bytes, patient, given_up)
        if seen.sha256 is None:
            return Reading(*seen)
        reading = await self._probed(path, seen)
        if not await self._is_still(path, reading):
            raise Changed(path)
        return reading

    async def _probed(self, path: str, seen: Examined) -> Reading:
        small = seen.identity.size <= _SMALL
        try:
            return Reading(*seen, probe=await self._audio.probe(path, small=small))
        except Reject as fault:
            return Reading(*seen, fault=fault)

    async def _is_still(self, path: str, reading: Reading, *, to_the_ctime: bool = False) -> bool:
        """Whether the file at `path` is the one that was read, unchanged."""
        try:
            there = await self._crew.call(os.lstat, path)
        except FileNotFoundError:
            raise
        except OSError:
            return False
        if to_the_ctime and there.st_ctime_ns != reading.ctime_ns:
            return False
        return self._same(Identity.of(there), reading.identity)


def _in_vain(fault: BaseException) -> None:
    """Log an unforeseen fault of a reading ahead of time, whose result may never be asked for."""
    if not isinstance(fault, Changed | OSError | StemwatchError):
        log.error("file.error", exc_info=fault)
