"""Request bodies that are sent once, and know whether the bytes that cost money went out."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpcore
import httpx

from stemwatch.stemsplit.interface import Upload
from stemwatch.stemsplit.line.sockets import SocketStream
from stemwatch.stemsplit.line.source import Source
from stemwatch.stemsplit.line.standstill import Patience


class Body(httpx.AsyncByteStream):
    """A body whose last bytes make the request acceptable. A retry makes a new one.

    `stream` must be set to the connection before the last bytes are due.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = dict(headers)
        self.stream: SocketStream | None = None
        self._tail_from: int | None = None

    @property
    def whole(self) -> bool:
        """Whether the socket has taken a byte of the tail: the request may cost money from then."""
        return (
            self._tail_from is not None
            and self.stream is not None
            and self.stream.sent > self._tail_from
        )

    def _begin_tail(self) -> None:
        """To be called right before the tail is yielded."""
        self._tail_from = self._check_alive().sent

    def _check_alive(self) -> SocketStream:
        """Raise WriteError for a server that has answered already or is gone, before it costs."""
        if self.stream is None or self.stream.answered():
            raise httpcore.WriteError("the server answered before the request's end")
        return self.stream


class JsonBody(Body):
    """A small JSON object; without its last brace nobody can have accepted it."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._raw = json.dumps(data).encode()
        super().__init__(
            {"Content-Type": "application/json", "Content-Length": str(len(self._raw))}
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._raw[:-1]
        self._begin_tail()
        yield self._raw[-1:]


class FileBody(httpx.AsyncByteStream):
    """The file itself as the body of a PUT."""

    def __init__(
        self,
        upload: Upload,
        content_type: str,
        *,
        patience: Patience,
        on_sent: Callable[[int], None],
    ) -> None:
        self.patience = patience
        self._source = Source(upload)
        self._on_sent = on_sent
        self.headers = {"Content-Type": content_type, "Content-Length": str(upload.size)}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        sent = 0
        async for chunk in self.patience.timed(self._source.chunks()):
            yield chunk
            sent += len(chunk)
            self._on_sent(sent)
        await self._source.require_same()


def plain_name(name: str) -> str:
    """The last part of a path as text; bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(name.rsplit("/", 1)[-1]).decode("utf-8", "replace")
