"""The multipart body of a submission, streamed from a descriptor, with its last bytes held back.

Everything but the closing boundary is sent first. Without it the request can't be accepted, so the
upload may run ahead of a free slot, and a kill during it is not ambiguous.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import httpcore

from stemwatch.media_types import media_type
from stemwatch.stemsplit.interface import Upload
from stemwatch.stemsplit.line.body import Body, plain_name
from stemwatch.stemsplit.line.sockets import SocketStream
from stemwatch.stemsplit.line.source import Source
from stemwatch.stemsplit.line.standstill import Patience


class MultipartBody(Body):
    """Text fields, then the file as `audio`; `hold` is awaited before the closing boundary."""

    def __init__(
        self,
        upload: Upload,
        fields: Mapping[str, str],
        *,
        patience: Patience,
        hold: Callable[[], Awaitable[None]],
        on_sent: Callable[[int], None],
    ) -> None:
        boundary = secrets.token_hex(16)
        self._source = Source(upload)
        self._patience = patience
        self._hold = hold
        self._on_sent = on_sent
        self._head = _head(boundary, fields, upload.filename)
        self.dropped = False  # the server answered or hung up while it was held ...
        self.held = 0.0  # ... for so many seconds
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        size = len(self._head) + upload.size + len(self._tail)
        super().__init__(
            {
                "Content-Type": f"multipart/form-data; boundary={boundary}",
                "Content-Length": str(size),
            }
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._head
        sent = 0
        async for chunk in self._patience.timed(self._source.chunks()):
            yield chunk
            sent += len(chunk)
            self._on_sent(sent)
            del chunk
        yield b""  # httpcore keeps a piece until it gets the next, and that may take minutes
        await self._held(self._check_alive())
        await self._source.require_same()
        try:
            self._begin_tail()
        except httpcore.WriteError:  # the server gave up just when the slot became free
            self.dropped = True
            raise
        yield self._tail

    async def _held(self, stream: SocketStream) -> None:
        """Await the hold; raises WriteError as soon as the server gives up, to retry sooner."""
        began = asyncio.get_running_loop().time()
        hold = asyncio.ensure_future(self._hold())
        gone = asyncio.ensure_future(stream.until_answered())
        stopped = False
        try:
            await asyncio.wait({hold, gone}, return_when=asyncio.FIRST_COMPLETED)
            self.dropped = not hold.done()
            self.held = asyncio.get_running_loop().time() - began
        except asyncio.CancelledError:
            stopped = True
        while not (hold.done() and gone.done()):
            hold.cancel()
            gone.cancel()
            try:
                await asyncio.wait({hold, gone})
            except asyncio.CancelledError:
                stopped = True  # an intent on its way to the disk is awaited all the same
        if stopped:
            raise asyncio.CancelledError
        if not hold.cancelled():
            hold.result()
        if self.dropped:
            lost = None if gone.cancelled() else gone.exception()
            raise httpcore.WriteError("the server answered while the upload waited") from lost


def safe_filename(name: str) -> str:
    """A file's name for a quoted Content-Disposition parameter, still readable to its owner.

    Quotes and line ends are percent-encoded as browsers do; what is not UTF-8 becomes U+FFFD.
    """
    text = plain_name(name)
    text = text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return "".join("_" if c < " " or c in "\\\x7f" else c for c in text) or "audio"


def _head(boundary: str, fields: Mapping[str, str], filename: str) -> bytes:
    name = safe_filename(filename)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="audio"; filename="{name}"\r\n'
        f"Content-Type: {media_type(name)}\r\n\r\n"
    )
    return "".join(parts).encode()
