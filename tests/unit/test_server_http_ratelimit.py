"""The rate limit's window, by a clock of the test's."""

from __future__ import annotations

import pytest

from stemwatch.receiving.refusal import Refused
from stemwatch.server.http.ratelimit import RateLimit
from tests.support.waiting import Clock


def test_a_minute_has_so_many_requests() -> None:
    """Each answer says what is left; after the minute it begins anew."""
    clock = Clock()
    rate = RateLimit(2, clock)
    expected = {"X-RateLimit-Limit": "2", "X-RateLimit-Reset": "1060"}
    assert rate.take() == {**expected, "X-RateLimit-Remaining": "1"}
    clock.now += 20.5
    assert rate.take()["X-RateLimit-Remaining"] == "0"
    with pytest.raises(Refused) as refused:
        rate.take()
    headers = {**expected, "X-RateLimit-Remaining": "0", "Retry-After": "40"}
    assert (refused.value.status_code, refused.value.headers) == (429, headers)
    clock.now = 1060
    assert rate.take()["X-RateLimit-Remaining"] == "1"


def test_a_clock_set_back_locks_nobody_out() -> None:
    """A window never ends later than a minute from now."""
    clock = Clock()
    rate = RateLimit(1, clock)
    rate.take()
    clock.now = 10.0
    assert rate.take()["X-RateLimit-Reset"] == "70"


def test_no_limit_says_nothing() -> None:
    """Without one there are no headers, and no end."""
    rate = RateLimit(None, Clock())
    assert [rate.take() for _ in range(1000)] == [{}] * 1000
