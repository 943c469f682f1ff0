"""The patience with a long request: it begins anew whenever the file that is written has grown."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

_LOOK = 5.0  # seconds between two looks at the file


class Growth(NamedTuple):
    """The file that a request writes, and what is called each time that it has grown.

    It has grown where it is larger than at the look before: a mix that would clip is written once
    more, from its beginning.
    """

    path: str
    tell: Callable[[], None]

    async def answered(
        self,
        answer: Coroutine[Any, Any, Any],
        limit: asyncio.Timeout,
        patience: float,
        grown: Callable[[], None],
    ) -> Any:
        """The answer; `limit` is moved to `patience` seconds after the last growth.

        `grown` is called at each, before `tell`.
        """
        loop, size = asyncio.get_running_loop(), 0
        answering = asyncio.create_task(answer)
        try:
            while not (await asyncio.wait({answering}, timeout=min(_LOOK, patience / 4)))[0]:
                found = await asyncio.to_thread(_size, self.path, size)  # its disk may hang
                if found > size:
                    limit.reschedule(loop.time() + patience)
                    grown()
                    self.tell()
                size = found
            return await answering
        finally:
            answering.cancel()


def _size(path: str, before: int) -> int:
    """In bytes; as `before` where the disk does not tell."""
    try:
        return os.stat(path).st_size
    except OSError:
        return before
