"""The rounds through the inbox: take hints, scan folders, let files settle, admit them.

All of it is bounded: scans come in slices, at most `CAPACITY` files are followed at a time, and at
most `AT_ONCE` are hashed and probed. A file for which there is no room is found again by a later
scan.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from stemwatch.codes import Code
from stemwatch.disks.opening import Guess
from stemwatch.disks.patience import patiently
from stemwatch.errors import PauseService, StemwatchError
from stemwatch.inbox.finished import FinishedSongs, is_finished, is_known
from stemwatch.inbox.front import Front
from stemwatch.inbox.names import Filter
from stemwatch.inbox.scan import Found, Offline, find, scan
from stemwatch.inbox.settle import Settler
from stemwatch.inbox.taking.admitting import SEATS, Admitting
from stemwatch.inbox.taking.passed_over import PassedOver
from stemwatch.inbox.unchanged_folders import Folders
from stemwatch.inbox.unreadable import Unreadable
from stemwatch.inbox.watcher import Watcher
from stemwatch.journal.journal import Journal

CAPACITY = 4096
_SHORTEST_ROUND = 0.2  # seconds between two rounds, however many hints come


class Rounds:
    """Finds every song of one inbox and has each admitted once. `guess`: see `opening.sample`."""

    def __init__(
        self,
        root: str,
        *,
        filter: Filter,
        settler: Settler,
        watcher: Watcher,
        journal: Journal,
        front: Front,
        rescan_seconds: float,
        guess: Guess | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._filter = filter
        self._settler = settler
        self._watcher = watcher
        self._journal = journal
        self._front = front
        self._rescan_seconds = rescan_seconds
        self._clock = clock
        self._unreadable = Unreadable()
        self._passed_over = PassedOver(clock)
        self._admitting = Admitting(
            settler,
            front,
            self._unreadable,
            guess=guess,
            answers=self._answers,
            ended=lambda: self._signal.set(),
            lost=self._lost,
            clock=clock,
        )
        self.completed = 0  # whole scans so far
        self.under_way = asyncio.Event()  # set once the first scan has begun or found no inbox
        self._signal = asyncio.Event()
        self._hinted = False  # something changed; the signal alone may mean a free seat
        self._kept = FinishedSongs()
        self._folders = Folders(clock)
        self._crowded = False  # the last scan found more files than can be followed
        self._next_scan = 0.0
        self._alive_at = clock()
        self._looked_at = 0.0  # when the last scan or look at hints ended

    def look_for(self, filter: Filter, rescan_seconds: float) -> None:
        """Use another filter and gap between rescans from now on, and rescan everything at once."""
        self._filter = filter
        self._rescan_seconds = rescan_seconds
        self._folders = self._folders.anew()
        self._next_scan = 0.0
        self.wake()

    def wake(self) -> None:
        """Something changed in the inbox: begin a round. The watcher and others call it."""
        self._hinted = True
        self._signal.set()

    def standstill(self) -> float:
        """Seconds since the rounds last made progress."""
        return self._clock() - self._alive_at

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Paths of unreadable files and folders of the inbox, each with the error's message."""
        return self._unreadable.now

    @property
    def idle(self) -> bool:
        """Whether every song that the last whole scan found is in the journal, or is `missed`."""
        return self.completed > 0 and not self._crowded and self._admitting.idle

    @property
    def missed(self) -> bool:
        """Whether a song could not be taken in, and no whole scan has looked for it since."""
        return bool(self._admitting.missed)

    async def run(self) -> None:
        """Do one round after another until cancelled. Raises faults of our own."""
        self._alive_at = self._clock()  # its disk may have been waited for since the start
        await self._watcher.start()
        try:
            while True:
                self._hinted = False
                await self._round()
                await self._rest()
        finally:
            self._admitting.cancel()
            await self._watcher.stop()

    async def _rest(self) -> None:
        """Wait until the next round is due, and fill seats that become free meanwhile.

        Otherwise each round would take only `AT_ONCE` files of a full inbox.
        """
        gathered = self._looked_at + _SHORTEST_ROUND  # hints that come until then share a round
        while True:
            if self._admitting.faults:
                raise self._admitting.faults[0]
            wait = gathered - self._clock() if self._hinted else self._pause()
            if wait <= 0:
                return
            try:
                # Not `wait_for`, which forgets (in 3.11) a cancellation that meets the signal.
                async with asyncio.timeout(wait):
                    await self._signal.wait()
            except TimeoutError:
                return
            self._signal.clear()
            with suppress(StemwatchError):  # the inbox hangs: the next round reports it
                await self._admitting.sample_due()
            if self._admitting.away or self._has_room_again():
                return

    def _pause(self) -> float:
        """Seconds until the next rescan or sample is due."""
        due = self._settler.next_due() if self._admitting.free_seats() >= SEATS else None
        next_ = self._next_scan if due is None else min(self._next_scan, due)
        return max(0.01, next_ - self._clock())

    async def _round(self) -> None:
        now = self._alive_at = self._clock()
        hints = self._watcher.take_hints()
        try:
            self._admitting.away = True
            await self._front.require_online()
            self._admitting.away = False
            if hints.everything or now >= self._next_scan or self._has_room_again():
                await self._scan_all(now, whole=hints.everything)
            else:
                for tree in sorted(hints.trees):
                    await self._look(scan(self._root, self._filter, below=tree))
                files = (find(self._root, self._filter, path) for path in sorted(hints.files))
                if hints.files:
                    await self._look(found for found in files if found is not None)
            await self._admitting.sample_due()
        except Offline as fault:
            self._folders = self._folders.anew()
            hint = "Mount it again, or make the folder; nothing is forgotten meanwhile."
            self._front.offline(PauseService(f"{fault}.", code=Code.INBOX, hint=hint))
            self._admitting.missed.add(passing=True)
            self._next_scan = now + self._rescan_seconds
        except StemwatchError as fault:
            self._front.trouble(fault)
            self._folders = self._folders.anew()
            self._admitting.away = fault.code == Code.INBOX  # then no call before the next rescan
            self._admitting.missed.add(passing=self._admitting.away)
            later = now + self._rescan_seconds
            self._next_scan = later if self._admitting.away else min(self._next_scan, later)
        finally:
            self.under_way.set()

    async def _answers(self) -> None:
        """Called while a slow read of the inbox goes on. Raises PauseService if the inbox hangs."""
        await self._front.require_online()
        self._alive_at = self._clock()

    async def _scan_all(self, now: float, *, whole: bool) -> None:
        self.under_way.set()
        self._crowded = False
        self._admitting.missed.scan_begins()
        self._unreadable.begin(self._settler)
        if self._folders.begin(self._watcher.mode, whole=whole):
            self._kept.begin()
            self._passed_over.begin()
        found = scan(
            self._root,
            self._filter,
            folders=self._folders,
            on_error=self._unreadable.note,
            on_passed=self._passed_over.note,
        )
        await self._look(self._watcher.checked(now, found))
        self._next_scan = now + self._rescan_seconds
        if not self._crowded:  # a crowded scan stopped before its end
            self.completed += 1
            self._admitting.missed.scan_ended()
        self._front.scanned()

    def _has_room_again(self) -> bool:
        return self._crowded and len(self._settler) <= CAPACITY // 2

    async def _look(self, scanned: Iterator[Found]) -> None:
        """Follow the songs of a scan that the journal does not know yet."""
        slices = self._kept.slices(scanned)
        while (slice_ := await patiently(self._answers, next, slices, None)) is not None:
            self._alive_at = seen = self._clock()
            if not slice_:
                continue
            known = await self._journal.known([found.path for found in slice_])
            for found in slice_:
                if found.path in self._admitting or is_known(found, known, self._front.same):
                    continue
                if not self._follow(found, seen, new=found.path not in known):
                    return
            if all(is_finished(found, known, self._front.same) for found in slice_):
                self._kept.add(slice_)
        self._looked_at = self._clock()

    def _follow(self, found: Found, seen: float, *, new: bool) -> bool:
        """Follow this song, seen at `seen`, until it settles; False: there is no room for more."""
        if self._settler.full:  # this song, or the one it replaces, has to be found again
            self._folders = self._folders.anew()
        elif new and found.path not in self._settler:
            self._folders.came(found.path)
        self._crowded |= not (followed := self._settler.track(found, seen))
        return followed

    def _lost(self, path: str) -> None:
        """Have a scan find this file again soon."""
        self._folders.doubt(path)
        self._next_scan = min(self._next_scan, self._clock() + self._rescan_seconds / 4)
