"""Limits the requests per minute. Clocks are arguments, in monotonic seconds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from stemwatch.stemsplit.rate_headers import RateLimit

_WINDOW = 60.0  # seconds


class RequestBudget:
    """At most `per_minute` requests in any `minute` (seconds), fewer where the server says so.

    Once the server says that none are left, none is sent until its window is over.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float], minute: float = _WINDOW
    ) -> None:
        self._clock = clock
        self._minute = minute
        self._most = self._limit = max(1, per_minute)
        self._window: deque[float] = deque(maxlen=self._most)  # times of the last minute's requests
        self._empty_until = 0.0
        self._turn = asyncio.Lock()
        self.taken = 0  # requests so far

    def told(self, rate: RateLimit) -> None:
        """Apply the rate headers of an answer. Other clients may use up the same key's budget."""
        if rate.limit is not None:
            self._limit = min(self._most, rate.limit)
        if rate.remaining == 0 and rate.resets_in is not None:
            self._empty_until = self._clock() + min(rate.resets_in, _WINDOW)

    def delay(self, spare: int = 0) -> float:
        """Seconds until the next request may be sent such that `spare` more may follow at once.

        At most half of the limit is spared.
        """
        now = self._clock()
        wait = self._empty_until - now
        limit = self._limit - min(spare, self._limit // 2)
        if len(self._window) >= limit:
            wait = max(wait, self._window[-limit] + self._minute - now)
        return max(0.0, wait)

    def resize(self, per_minute: int) -> None:
        """Change the limit; requests of the last minute still count."""
        before, self._most = self._most, max(1, per_minute)
        # A lower limit came from the server: it holds until an answer says more.
        self._limit = self._most if self._limit == before else min(self._limit, self._most)
        self._window = deque(self._window, maxlen=self._most)

    @property
    def rate(self) -> float:
        """Requests per second that are possible in the long run."""
        return self._limit / self._minute

    async def take(self) -> None:
        """Wait until one request may be sent, and count it; first come, first served."""
        async with self._turn:
            # The lock keeps the place that becomes free for this caller. The delay is computed
            # again after the wait, since an answer may have lowered the limit meanwhile.
            while (wait := self.delay()) > 0:  # noqa: ASYNC110 - time is all it waits for
                await asyncio.sleep(wait)
            now = self._clock()
            while self._window and self._window[0] <= now - self._minute:
                self._window.popleft()  # or the deque of a high limit grows for hours
            self._window.append(now)
            self.taken += 1
