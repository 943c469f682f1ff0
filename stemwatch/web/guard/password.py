"""The page's password: slow to guess, and only so often a minute from one address."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable

FAILURES, WINDOW = 5, 60.0  # wrong passwords of one address, in so many seconds
_ADDRESSES = 1000  # that are remembered
_COST = {"n": 2**14, "r": 8, "p": 1, "maxmem": 64 << 20}  # 16 MB and about 40 ms a guess


class TooOften(Exception):
    """Nothing is looked at before `after` seconds."""

    def __init__(self, after: float) -> None:
        super().__init__()
        self.after = after


class Password:
    """Compares what is given with the one that is configured; `clock` gives seconds."""

    def __init__(self, text: str, clock: Callable[[], float]) -> None:
        self._text = text
        self._clock = clock
        self._salt = secrets.token_bytes(16)
        self._stretched: bytes | None = None
        self._failures: dict[str, list[float]] = {}
        self._known: set[bytes] = set()  # tokens that were right: a script sends its own each time
        self._turn = asyncio.Lock()  # 16 MB at a time, however many guess at once

    async def right(self, given: str, address: str) -> bool:
        """Whether it is the one. Raises TooOften."""
        if (after := self._wait(address)) > 0:
            raise TooOften(after)
        async with self._turn:
            if (after := self._wait(address)) > 0:  # others of this address failed meanwhile
                raise TooOften(after)
            if self._stretched is None:
                self._stretched = await asyncio.to_thread(self._stretch, self._text)
            found = await asyncio.to_thread(self._stretch, given)
            if hmac.compare_digest(found, self._stretched):
                return True
            self._note(address)
            return False

    async def right_token(self, given: str, address: str) -> bool:
        """The same for one that comes with each call of a script: stretched once only."""
        mark = hashlib.sha256(self._salt + given.encode()).digest()
        if mark in self._known:
            return True
        if await self.right(given, address):
            self._known = {mark}
            return True
        return False

    def _stretch(self, text: str) -> bytes:
        return hashlib.scrypt(text.encode("utf-8", "replace"), salt=self._salt, **_COST)

    def _wait(self, address: str) -> float:
        recent = [at for at in self._failures.get(address, ()) if self._clock() - at < WINDOW]
        return recent[-FAILURES] + WINDOW - self._clock() if len(recent) >= FAILURES else 0.0

    def _note(self, address: str) -> None:
        kept = [at for at in self._failures.pop(address, ()) if self._clock() - at < WINDOW]
        self._failures[address] = [*kept, self._clock()]  # last: the oldest entries are dropped
        while len(self._failures) > _ADDRESSES:
            del self._failures[next(iter(self._failures))]
