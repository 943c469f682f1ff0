"""Request bodies that are sent once, and know whether the bytes that cost money went out."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpcore
import httpx

from stemwatch.errors import RetryLater
from stemwatch.stemsplit.client import Upload
from stemwatch.stemsplit.sockets import SocketStream

CHUNK = 512 * 1024

_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "ogg": "audio/ogg",
    "webm": "audio/webm",
}


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
        """Has the socket taken any byte of the tail? From then on it may cost money."""
        return (
            self._tail_from is not None
            and self.stream is not None
            and self.stream.sent > self._tail_from
        )

    def _begin_tail(self) -> None:
        """To be called right before the tail is yielded."""
        self._tail_from = self._check_alive().sent

    def _check_alive(self) -> SocketStream:
        """Don't send the bytes that cost to a server that has answered already or has gone."""
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
    """An upload as it is, for a PUT."""

    def __init__(self, upload: Upload, content_type: str, on_sent: Callable[[int], None]) -> None:
        self._source = Source(upload)
        self._on_sent = on_sent
        self.headers = {"Content-Type": content_type, "Content-Length": str(upload.size)}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        sent = 0
        async for chunk in self._source.chunks():
            yield chunk
            sent += len(chunk)
            self._on_sent(sent)
        await self._source.require_same()


class Source:
    """An upload's bytes from its descriptor: either all as they were hashed, or RetryLater.

    All in threads: it may be on a share that hangs, and the service must not hang with it.
    """

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._before: tuple[int, int] | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        self._before = await asyncio.to_thread(self._stat)
        offset = 0
        while offset < self._upload.size:
            chunk = await asyncio.to_thread(self._read, offset)
            yield chunk
            offset += len(chunk)

    async def require_same(self) -> None:
        if await asyncio.to_thread(self._stat) != self._before:
            raise _changed("changed")

    def _read(self, offset: int) -> bytes:
        try:
            chunk = os.pread(self._upload.fd, min(CHUNK, self._upload.size - offset), offset)
        except OSError as exc:
            raise _unreadable(exc) from exc
        if not chunk:
            raise _changed("became shorter")
        return chunk

    def _stat(self) -> tuple[int, int]:
        try:
            now = os.fstat(self._upload.fd)
        except OSError as exc:
            raise _unreadable(exc) from exc
        if now.st_size != self._upload.size:
            raise _changed("changed its size")
        return now.st_size, now.st_mtime_ns


def content_type(name: str) -> str:
    """By the file's extension; for any other, bytes."""
    return _TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")


def plain_name(name: str) -> str:
    """A file's own name as text, whatever its bytes: what is not UTF-8 becomes U+FFFD."""
    return os.fsencode(name.rsplit("/", 1)[-1]).decode("utf-8", "replace")


def _unreadable(fault: OSError) -> RetryLater:
    return RetryLater(
        f"The file can't be read: {fault.strerror}.",
        code="unreadable",
        hint="Check the inbox's disk.",
    )


def _changed(how: str) -> RetryLater:
    return RetryLater(
        f"The file {how} while it was being uploaded; nothing was submitted.", code="changed"
    )
