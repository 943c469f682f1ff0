"""Samples the followed files of one inbox, and has those that have settled admitted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stemwatch.disks.opening import Guess, NotYet, StillOpen, sample_all
from stemwatch.disks.patience import patiently
from stemwatch.errors import StemwatchError
from stemwatch.inbox.front import Front
from stemwatch.inbox.intake import Incomplete
from stemwatch.inbox.reading import Changed
from stemwatch.inbox.scan import Found
from stemwatch.inbox.settle import Settler, Verdict
from stemwatch.inbox.taking.missed import Missed
from stemwatch.inbox.unreadable import OwnFaults, Unreadable
from stemwatch.job import Identity
from stemwatch.journal.transactions import StaleJob
from stemwatch.tasks import supervised

AT_ONCE = 16
SEATS = 4  # so many must be free for a look, or each file would cost a trip to a thread


class Admitting:
    """Up to `AT_ONCE` files are hashed and probed at a time.

    `guess`: see `opening.sample`. `ended` is called after each file, `lost` with the path of a file
    that a scan has to find again. `answers` is awaited while the disk is slow.
    """

    def __init__(
        self,
        settler: Settler,
        front: Front,
        unreadable: Unreadable,
        *,
        guess: Guess | None,
        answers: Callable[[], Awaitable[None]],
        ended: Callable[[], None],
        lost: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._settler = settler
        self._front = front
        self._unreadable = unreadable
        self._own_faults = OwnFaults(settler, unreadable)
        self._guess = guess
        self._answers = answers
        self._ended, self._lost = ended, lost
        self._clock = clock
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self.missed = Missed()
        self.faults: list[BaseException] = []  # faults of our own, which end the rounds
        self.away = False  # the inbox is missing or hangs: another call could hang as well

    def __contains__(self, path: object) -> bool:
        """Whether this file is being hashed, probed or admitted."""
        return path in self._under_way

    @property
    def idle(self) -> bool:
        """Whether no file is on its way, and none is going to be that can be taken in now."""
        waiting = len(self._settler) - self._settler.busy_count
        none_waits = waiting <= 0 or self._own_faults.rests(self._clock())
        return none_waits and not self._under_way and not self.missed.awaited

    def cancel(self) -> None:
        for task in self._under_way.values():
            task.cancel()

    def free_seats(self) -> int:
        """How many more files may be sampled; 0 while the inbox is away or rests after a fault."""
        rests = self.away or self._own_faults.rests(self._clock())
        return 0 if rests else AT_ONCE - len(self._under_way)

    async def sample_due(self) -> None:
        """Sample the files that may have settled by now, and admit those that have.

        Raises what `answers` does: files that are gone with their disk are followed further.
        """
        while (room := self.free_seats()) >= SEATS:
            if not (paths := self._settler.due(self._clock(), room)):
                return
            sampled = await patiently(self._answers, sample_all, paths, self._guess)
            if any(seen is None for _, seen in sampled):
                await self._answers()
            for path, seen in sampled:
                self.judge(path, seen)

    def judge(self, path: str, seen: Identity | NotYet | None) -> None:
        """What follows from one sample."""
        if isinstance(seen, NotYet):
            self._not_yet(path, seen)
            return
        if path not in self._own_faults:
            self._unreadable.was_read(path)
        verdict = self._settler.sample(path, seen, self._clock())
        if verdict is Verdict.GONE:
            self._forget(path)
        elif verdict is Verdict.WAIT:
            self._front.forget(path)
        elif verdict is Verdict.STILL and seen is not None and len(self._settler) <= AT_ONCE:
            self._front.expect(path, seen)  # only if few wait: settled files come first
        elif verdict is Verdict.SETTLED and path not in self._under_way:
            task = supervised(self._take(self._settler.found(path)), self.faults.append)
            self._under_way[path] = task
            task.add_done_callback(lambda _: self._taken(path))

    def _not_yet(self, path: str, seen: NotYet) -> None:
        self._front.forget(path)
        if isinstance(seen, StillOpen):
            if not self._settler.written(path, seen.identity, self._clock()):
                return
        else:
            self._settler.busy(path, self._clock())
        self._unreadable.note(path, seen)

    async def _take(self, found: Found, *, patient: bool = True) -> None:
        """Admit one settled file, or follow it further if it is not ready."""
        path = found.path
        try:
            await self._front.admit(found, patient=patient)
        except NotYet as fault:
            self._settler.busy(path, self._clock())
            self._unreadable.note(path, fault)
        except Incomplete:
            # After a long wait without a change: it is whole after all, or never will be.
            if self._settler.incomplete(path, self._clock()):
                await self._take(found, patient=False)
        except (Changed, FileNotFoundError, StaleJob):
            self._find_again(path, passing=True)
        except StemwatchError as fault:
            self._front.trouble(fault)
            self._find_again(path, passing=False)
        except Exception as fault:
            if self._own_faults.met(found, fault, self._clock()):
                self._front.unforeseen(fault)
        else:
            self._own_faults.passed(path)
            self.missed.passed()
            self._forget(path)

    def _find_again(self, path: str, *, passing: bool) -> None:
        self.missed.add(passing=passing)
        self._forget(path)
        self._lost(path)

    def _forget(self, path: str) -> None:
        self._settler.forget(path)
        self._own_faults.forget(path)
        self._unreadable.was_read(path)
        self._front.forget(path)

    def _taken(self, path: str) -> None:
        self._under_way.pop(path, None)
        self._ended()
