"""What keeps the service polite: backoff, the request budget, and the remote slots.

Clocks are monotonic seconds and arguments; randomness is an argument.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, wait_exponential

from stemwatch.stemsplit.rate_headers import RateLimit

_WINDOW = 60.0  # seconds


def full_jitter(attempt: int, first: float, longest: float, rng: random.Random) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1): up to first * 2^(n-1).

    The exponential is tenacity's. The draw is from its upper half: one near zero would storm.
    """
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = max(1, attempt)
    high = wait_exponential(multiplier=first, max=longest)(state)
    return rng.uniform(high / 2, high)


class RequestBudget:
    """At most `per_minute` requests in any `minute` (seconds), fewer where the server says so.

    Where it says that none are left, nothing is asked before it gives new ones.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float], minute: float = _WINDOW
    ) -> None:
        self._clock = clock
        self._minute = minute
        self._most = self._limit = max(1, per_minute)
        self._window: deque[float] = deque(maxlen=self._most)  # the last minute's
        self._empty_until = 0.0
        self._turn = asyncio.Lock()
        self.taken = 0  # places so far

    def told(self, rate: RateLimit) -> None:
        """What the server said of its budget with an answer; other clients may share the key."""
        if rate.limit is not None:
            self._limit = min(self._most, rate.limit)
        if rate.remaining == 0 and rate.resets_in is not None:
            self._empty_until = self._clock() + min(rate.resets_in, _WINDOW)

    def delay(self, spare: int = 0) -> float:
        """Seconds until the next request may be sent, with `spare` more for others after it.

        At most half of all requests are spared.
        """
        now = self._clock()
        wait = self._empty_until - now
        limit = self._limit - min(spare, self._limit // 2)
        if len(self._window) >= limit:
            wait = max(wait, self._window[-limit] + self._minute - now)
        return max(0.0, wait)

    def resize(self, per_minute: int) -> None:
        """Another number from now on; what was sent in the last minute counts."""
        before, self._most = self._most, max(1, per_minute)
        # Less than that was the server's word: it holds until its next answer says more.
        self._limit = self._most if self._limit == before else min(self._limit, self._most)
        self._window = deque(self._window, maxlen=self._most)

    @property
    def rate(self) -> float:
        """Requests a second, in the long run."""
        return self._limit / self._minute

    async def take(self) -> None:
        """Wait for a place; first come, first served."""
        async with self._turn:
            # A full window needs one place, and the lock keeps everybody else out of it. Asked
            # again after the wait: an answer may have told of less meanwhile.
            while (wait := self.delay()) > 0:  # noqa: ASYNC110 - time is all it waits for
                await asyncio.sleep(wait)
            now = self._clock()
            while self._window and self._window[0] <= now - self._minute:
                self._window.popleft()  # else a generous budget grows for hours until it is full
            self._window.append(now)
            self.taken += 1


class Slots:
    """The remote's parallel jobs: a 429 lowers the limit, time without one lets it creep back."""

    def __init__(self, limit: int, creep: float, clock: Callable[[], float]) -> None:
        self.most = limit
        self.limit = limit
        self._creep = creep
        self._clock = clock
        self._changed = clock()
        self._held: set[int] = set()
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    def resize(self, most: int) -> None:
        """Another limit from now on. One that a 429 has lowered stays low, and creeps up."""
        self.limit = most if self.limit == self.most else min(self.limit, most)
        self.most = most
        self._hand_on()

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def vacant(self) -> int:
        """Slots that no job holds, whoever waits for them."""
        self._rise()
        return max(0, self.limit - len(self._held))

    async def acquire(self, job_id: int) -> None:
        """Wait until the remote has room for this job; first come, first served."""
        self._rise()
        if job_id in self._held:
            return
        if self._waiters or len(self._held) >= self.limit:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            entry = (job_id, turn)
            self._waiters.append(entry)
            try:
                await turn
            finally:
                if entry in self._waiters:
                    self._waiters.remove(entry)
                elif turn.cancelled():
                    self._hand_on()
        self._held.add(job_id)

    def hold(self, job_id: int) -> None:
        """This job is at the remote already (after a restart): it has its slot, limit or not."""
        self._held.add(job_id)

    def release(self, job_id: int) -> None:
        self._held.discard(job_id)
        self._hand_on()

    def refused(self) -> None:
        """A 429: no more than are running there now, less than before, and at least one."""
        self.limit = max(1, min(self.limit - 1, len(self._held)))
        self._changed = self._clock()

    def next_rise(self) -> float | None:
        """When a lowered limit rises again (monotonic seconds)."""
        self._rise()
        return self._changed + self._creep if self.limit < self.most else None

    def _rise(self) -> None:
        while self.limit < self.most and self._clock() - self._changed >= self._creep:
            self.limit += 1
            self._changed += self._creep
            self._hand_on()

    def _hand_on(self) -> None:
        """Wake waiters into the free slots. The slot is theirs from now on."""
        while self._waiters and len(self._held) < self.limit:
            job_id, turn = self._waiters.popleft()
            if not turn.done():
                self._held.add(job_id)
                turn.set_result(None)
