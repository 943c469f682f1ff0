"""Requests that stay long: event streams and uploads, each with a number of places of its own.

They are counted here instead of among the listener's other connections (`connection_limits`), so
that a crowd of open pages never keeps a health check or a webhook waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

STREAMS = 16  # event streams at once
STREAMS_OF_ONE = 4  # ... of one address; a browser needs one, however many tabs it has
UPLOADS = 8  # songs that come in at once


class Full(Exception):
    """No place is left; a little later there may be one."""


class LongRequests:
    """The places that are taken now."""

    def __init__(self) -> None:
        self._streams: Counter[str] = Counter()
        self._uploads = 0

    @contextmanager
    def stream(self, address: str) -> Iterator[None]:
        """A place for one event stream of `address`. Raises Full.

        This machine is one address for everybody behind a proxy that runs on it, and is not limited
        by itself.
        """
        crowded = self._streams[address] >= STREAMS_OF_ONE and not _is_here(address)
        if crowded or self._streams.total() >= STREAMS:
            raise Full
        self._streams[address] += 1
        try:
            yield
        finally:
            self._streams[address] -= 1
            if not self._streams[address]:
                del self._streams[address]

    @contextmanager
    def upload(self) -> Iterator[None]:
        """A place for one upload. Raises Full."""
        if self._uploads >= UPLOADS:
            raise Full
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1


def _is_here(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
