"""Exponential backoff with jitter. The random generator is an argument."""

from __future__ import annotations

import random

from tenacity import AsyncRetrying, RetryCallState, wait_exponential


def full_jitter(attempt: int, first: float, longest: float, rng: random.Random) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1).

    The longest wait, first * 2^(attempt-1) and at most `longest`, is tenacity's exponential. The
    wait is drawn from its upper half: waits near zero would flood the server with retries.
    """
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = max(1, attempt)
    high = wait_exponential(multiplier=first, max=longest)(state)
    return rng.uniform(high / 2, high)
