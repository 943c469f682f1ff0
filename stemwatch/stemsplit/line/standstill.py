"""How long an upload may stand still; how long it may take depends on its size and on the line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType


class Patience:
    """An `async with` around one request, which ends in TimeoutError after `seconds` of waiting.

    Each of these may take that long: what comes before the body, the disk for each chunk of it, and
    the whole answer after it. While a chunk is sent, the socket times every part that the line
    takes (`SocketStream.write`), since on a slow line one chunk takes long and never stands still.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._clock = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._clock.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._clock.__aexit__(kind, fault, trace)

    @property
    def expired(self) -> bool:
        """Whether this is what ended the request."""
        return self._clock.expired()

    def wait(self, seconds: float) -> None:
        """From now on, `seconds` for all that follows."""
        self._clock.reschedule(asyncio.get_running_loop().time() + seconds)

    def pause(self) -> None:
        """Count no time until the next `wait`."""
        self._clock.reschedule(None)

    async def timed(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass a body's chunks on; counts the wait for each, and all that follows the last one."""
        async for chunk in chunks:
            self.pause()
            yield chunk
            self.wait(self._seconds)
