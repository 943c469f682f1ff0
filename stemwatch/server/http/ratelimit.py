"""The rate limit in requests a minute, announced in the headers of each answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from stemwatch.receiving.refusal import Refused
from stemwatch.server.http.keyholders import Caller

WINDOW = 60.0  # seconds


@dataclass(slots=True)
class RateLimit:
    """A fixed window of a minute; `limit` None counts nothing. `now` gives Unix seconds."""

    limit: int | None
    now: Callable[[], float]
    _ends: float = 0.0
    _used: int = 0

    def take(self) -> dict[str, str]:
        """Count one request; returns its answer's headers. Refused with 429 above the limit."""
        if self.limit is None:
            return {}
        now = self.now()
        if not now < self._ends <= now + WINDOW:  # over, or the clock was set back
            self._ends, self._used = now + WINDOW, 0
        self._used += 1
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self._used)),
            "X-RateLimit-Reset": str(ceil(self._ends)),
        }
        if self._used > self.limit:
            wait = ceil(self._ends - now)
            raise Refused(
                429,
                f"Rate limit exceeded. Try again in {wait} seconds.",
                {**headers, "Retry-After": str(wait)},
            )
        return headers


@dataclass(frozen=True, slots=True)
class RateLimits:
    """One for each caller: his own limit, else `limit`."""

    limit: int | None
    now: Callable[[], float]
    _each: dict[Caller, RateLimit] = field(default_factory=dict)

    def take(self, caller: Caller) -> dict[str, str]:
        """As `RateLimit.take`, of this caller's."""
        if caller not in self._each:
            limit = self.limit if caller.rate is None else caller.rate
            self._each[caller] = RateLimit(limit, self.now)
        return self._each[caller].take()
