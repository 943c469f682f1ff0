"""Slots: how many jobs may be at the remote at once. Clocks are arguments, in monotonic seconds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Slots:
    """The slots of the remote. A 429 lowers their number, which rises by one each `creep` seconds.

    `most` is the configured limit, `limit` the one in force.
    """

    def __init__(self, limit: int, creep: float, clock: Callable[[], float]) -> None:
        self.most = limit
        self.limit = limit
        self._creep = creep
        self._clock = clock
        self._changed = clock()
        self._held: set[int] = set()
        self._waiters: deque[tuple[int, asyncio.Future[None], bool]] = deque()

    def resize(self, most: int) -> None:
        """Change the configured limit. A limit that a 429 has lowered stays low, and creeps up."""
        self.limit = most if self.limit == self.most else min(self.limit, most)
        self.most = most
        self._hand_on()

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def vacant(self) -> int:
        """The number of slots that no job holds, even if some wait for one."""
        self._rise()
        return max(0, self.limit - len(self._held))

    async def acquire(self, job_id: int, *, early: bool = False) -> None:
        """Wait until the remote has room for this job; first come, first served.

        `early`: before all that are not. `stemwatch first` may name a song while others, uploaded
        ahead, wait in line already.
        """
        self._rise()
        if job_id in self._held:
            return
        if self._waiters or len(self._held) >= self.limit:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            entry = (job_id, turn, early)
            ahead = [one for one in self._waiters if one[2]] if early else self._waiters
            self._waiters.insert(len(ahead), entry)
            try:
                await turn
            finally:
                if entry in self._waiters:
                    self._waiters.remove(entry)
                elif turn.cancelled():
                    self._hand_on()
        self._held.add(job_id)

    def hold(self, job_id: int) -> None:
        """Note that a job is at the remote already (after a restart), whatever the limit is."""
        self._held.add(job_id)

    def release(self, job_id: int) -> None:
        self._held.discard(job_id)
        self._hand_on()

    def refused(self) -> None:
        """A 429 came: lower the limit by at least one, to the jobs that hold slots, or to 1."""
        self.limit = max(1, min(self.limit - 1, len(self._held)))
        self._changed = self._clock()

    def next_rise(self) -> float | None:
        """When a lowered limit rises again (monotonic seconds); None: it is not lowered."""
        self._rise()
        return self._changed + self._creep if self.limit < self.most else None

    def _rise(self) -> None:
        while self.limit < self.most and self._clock() - self._changed >= self._creep:
            self.limit += 1
            self._changed += self._creep
            self._hand_on()

    def _hand_on(self) -> None:
        """Give the free slots to waiters, first come, first served, and wake them."""
        while self._waiters and len(self._held) < self.limit:
            job_id, turn, _ = self._waiters.popleft()
            if not turn.done():
                self._held.add(job_id)
                turn.set_result(None)
