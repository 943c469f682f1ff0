"""The credit left at the API: the last known balance, and when it is asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from stemwatch.log import log


@dataclass(frozen=True, slots=True)
class Known:
    """The balance that the API told last: seconds of audio left, `at` a time in Unix seconds."""

    seconds: float
    at: float


class Credit:
    """The last known balance (None: never told), and whether to ask for it again.

    It is asked for while songs are paid for. An idle service never asks.
    """

    def __init__(self) -> None:
        self.known: Known | None = None
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()

    def spent(self) -> None:
        """A submission was accepted: the known balance is outdated, so ask again when it is due."""
        self._wanted.set()

    def turned(self) -> None:
        """The credit ran out or came back: ask at once."""
        self._urgent.set()
        self._wanted.set()

    def heard(self, seconds: float, now: float) -> None:
        """The API said that `seconds` of audio are left, at `now` (Unix seconds)."""
        self.known = Known(seconds, now)
        log.debug("credit.known", seconds=seconds)

    async def due(self, earliest: float, clock: Callable[[], float]) -> None:
        """Wait until the balance is to be asked for.

        Not before `earliest` (seconds of the monotonic `clock`), unless `turned` was called.
        """
        await self._wanted.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, earliest - clock())):
                await self._urgent.wait()
        self._wanted.clear()
        self._urgent.clear()
