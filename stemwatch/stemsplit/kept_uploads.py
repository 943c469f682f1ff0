"""Wire B's finished uploads that wait for their job, each for as long as its ticket lives.

The API does not say how long it keeps an upload, only how long a ticket lives. A job for an upload
that is forgotten may be refused, or accepted, charged and failed. So none is submitted for an older
upload, unless the upload itself took so long that the next one would be no younger.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stemwatch.codes import Code
from stemwatch.errors import RetryLater

KEPT = 840.0  # seconds that a ticket and its upload may be used: a minute less than it lives
_REMEMBERED = 64  # uploads that wait for their job

Bytes = str | tuple[int, ...]  # `Upload.content`, or the file's identity


@dataclass(slots=True)
class Kept:
    """A finished upload, which may be used `until` then (monotonic seconds).

    `late`: it took longer than its ticket lives, so the API may have forgotten it already.
    `in_doubt`: a failing server had its job, and may have taken it in spite of its answer.
    """

    key: str
    until: float
    late: bool
    in_doubt: bool = False


class KeptUploads:
    """The uploads by the bytes that were sent: a refused job needs no second one.

    `seconds` from the moment at which its ticket is asked for may pass until an upload is used.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[Bytes, Kept] = OrderedDict()

    def now(self) -> float:
        return self._clock()

    def find(self, which: Bytes) -> Kept | None:
        """The upload of these bytes; None where there is none that may still be used."""
        kept = self._kept.get(which)
        return None if kept is None or self._clock() >= kept.until else kept

    def add(self, which: Bytes, key: str, asked: float) -> Kept:
        """Keep an upload that has just ended. Its ticket was asked for at the time `asked`."""
        now = self._clock()
        late = now >= asked + self._seconds
        kept = self._kept[which] = Kept(key, (now if late else asked) + self._seconds, late)
        while len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)
        return kept

    def drop(self, which: Bytes) -> None:
        self._kept.pop(which, None)

    async def in_time(self, kept: Kept, wait: Callable[[], Awaitable[None]]) -> None:
        """Await `wait`; raises RetryLater if the upload may not be used any more before it ends."""
        try:
            async with asyncio.timeout(kept.until - self._clock()) as limit:
                await wait()
        except TimeoutError as fault:
            if not limit.expired():  # one of `wait` itself
                raise
            raise RetryLater(
                "its upload waited for a slot for as long as the API keeps it; it is made anew.",
                code=Code.NO_SLOT,
                counts=False,
                after=0.0,
            ) from fault
