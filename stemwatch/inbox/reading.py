"""Reads a file before it is admitted: SHA-256, audio properties, missing bytes.

In the second half of its quiet window a file has stood still for a while: it is read then, ahead
of time, so that a song of 100 MB isn't hashed only when it has settled. What changed since, by
its ctime too (an editor may put the mtime back), is read again; so is what may have changed within
one tick of its file system's clock.
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
from stemwatch.errors import Reject, StemwatchError
from stemwatch.inbox.examine import Examined, examine
from stemwatch.inbox.headers import Lack
from stemwatch.job import Identity
from stemwatch.log import log
from stemwatch.tasks import supervised

READERS = 6  # files that are hashed at once: more only make a disk seek
AHEAD = 4  # files that are read, or wait to be asked for, before they have settled
_TICK = 20_000_000  # ns: a second change within a kernel's tick (4 to 10 ms) moves no ctime
_SECOND = 1_000_000_000

Same = Callable[[Identity | None, Identity], bool]


class Changed(Exception):
    """The file changed while it was looked at: its quiet window starts anew."""


class Reading(NamedTuple):
    """`sha256` is None where it was not worth reading on: incomplete, or too large.

    `probe` is None there and where the decoder refused it: `fault` says why.
    """

    identity: Identity
    ctime_ns: int
    lack: Lack | None
    sha256: str | None
    probe: Probe | None = None
    fault: Reject | None = None


class _Ahead(NamedTuple):
    """A reading ahead of time; `began` in Unix ns, `given_up` ends its thread."""

    task: asyncio.Task[Reading]
    given_up: threading.Event
    began: int

    def holds(self, reading: Reading) -> bool:
        """Whether a change since would show: not on file systems that count in seconds."""
        old = self.began - reading.ctime_ns
        return reading.lack is None and old > _TICK and reading.ctime_ns % _SECOND != 0


class FileReader:
    """Reads the files of one inbox. `same` compares two looks at one path.

    Ahead of time only what it is told to expect: where ctimes can be relied upon.
    """

    def __init__(self, audio: AudioHelper, *, max_bytes: int, same: Same) -> None:
        self._audio = audio
        self._max_bytes = max_bytes
        self._same = same
        self._seats = asyncio.Semaphore(READERS)
        self._ahead: dict[str, _Ahead] = {}

    def expect(self, path: str) -> None:
        """This file may have settled soon: read it now, if there is a seat."""
        self.forget(path)
        if len(self._ahead) < AHEAD:
            given_up, began = threading.Event(), time.time_ns()
            task = supervised(self._read(path, patient=True, given_up=given_up), _in_vain)
            self._ahead[path] = _Ahead(task, given_up, began)

    def forget(self, path: str) -> None:
        """It changed, or is gone: what was read of it is of no use."""
        if (ahead := self._ahead.pop(path, None)) is not None:
            ahead.given_up.set()
            ahead.task.cancel()

    async def close(self) -> None:
        """Nothing is read ahead any more; what is under way would outlive the audio helpers."""
        tasks = [ahead.task for ahead in self._ahead.values()]
        for path in list(self._ahead):
            self.forget(path)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def read(self, path: str, *, patient: bool) -> Reading:
        """Everything about this settled file. `patient`: bytes that seem to be missing may come.

        Raises Changed, FileNotFoundError, NotYet, or PauseService where no audio can be read.
        """
        ahead = self._ahead.pop(path, None)
        if ahead is not None:
            try:
                reading = await ahead.task
                if ahead.holds(reading) and await self._is_still(path, reading, to_the_ctime=True):
                    return reading
            except Exception:  # noqa: S110 (what nobody foresaw is told by `_in_vain`)
                pass  # whatever it was: it is looked at again
        return await self._read(path, patient=patient)

    async def _read(
        self, path: str, *, patient: bool, given_up: threading.Event | None = None
    ) -> Reading:
        self._audio.require_working()  # or the whole inbox would be hashed at each look
        async with self._seats:
            seen = await asyncio.to_thread(examine, path, self._max_bytes, patient, given_up)
        if seen.sha256 is None:
            return Reading(*seen)
        reading = await self._probed(path, seen)
        if not await self._is_still(path, reading):
            raise Changed(path)
        return reading

    async def _probed(self, path: str, seen: Examined) -> Reading:
        try:
            return Reading(*seen, probe=await self._audio.probe(path))
        except Reject as fault:
            return Reading(*seen, fault=fault)

    async def _is_still(self, path: str, reading: Reading, *, to_the_ctime: bool = False) -> bool:
        """False for one that changed since it was read, or gave its name to another."""
        try:
            there = await asyncio.to_thread(os.lstat, path)
        except FileNotFoundError:
            raise
        except OSError:
            return False
        if to_the_ctime and there.st_ctime_ns != reading.ctime_ns:
            return False
        return self._same(Identity.of(there), reading.identity)


def _in_vain(fault: BaseException) -> None:
    """Nobody may ever ask for what was read ahead, nor for why it failed."""
    if not isinstance(fault, Changed | OSError | StemwatchError):
        log.error("file.error", exc_info=fault)
