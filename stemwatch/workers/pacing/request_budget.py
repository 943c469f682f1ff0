"""Limits the requests per minute. Clocks are arguments, in monotonic seconds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from stemwatch.stemsplit.rate_headers import RateLimit

_WINDOW = 60.0  # seconds


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
