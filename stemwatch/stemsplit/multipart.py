"""The multipart body of a submission, streamed from a descriptor, with its last bytes held back.

Everything but the closing boundary is sent first. Without it the request can't be accepted, so the
upload may run ahead of a free slot, and a kill during it is not ambiguous.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import httpcore
import httpx

from stemwatch.errors import RetryLater
from stemwatch.stemsplit.client import Upload
from stemwatch.stemsplit.sockets import SocketStream

CHUNK = 256 * 1024  # bytes; larger gains nothing, smaller costs CPU

_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "ogg": "audio/ogg",
    "webm": "audio/webm",
}


class MultipartBody(httpx.AsyncByteStream):
    """Text fields, then the file as `audio`. Sent once: a retry makes a new one.

    `hold` is awaited before the closing boundary. `stream` must be set to the connection before
    the last bytes are due.
    """

    def __init__(
        self,
        upload: Upload,
        fields: Mapping[str, str],
        *,
        hold: Callable[[], Awaitable[None]],
        on_sent: Callable[[int], None],
    ) -> None:
        boundary = secrets.token_hex(16)
        self._upload = upload
        self._hold = hold
        self._on_sent = on_sent
        self._head = _head(boundary, fields, upload.filename)
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._tail_from: int | None = None
        self.stream: SocketStream | None = None
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._head) + upload.size + len(self._tail)),
        }

    @property
    def whole(self) -> bool:
        """Has the socket taken any byte of the closing boundary? From then on it may cost money."""
        return (
            self._tail_from is not None
            and self.stream is not None
            and self.stream.sent > self._tail_from
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        before = self._stat()
        yield self._head
        offset = 0
        while offset < self._upload.size:
            chunk = self._read(offset)
            yield chunk
            offset += len(chunk)
            self._on_sent(offset)
        self._check_alive()
        await self._hold()
        if self._stat() != before:
            raise _changed("changed")
        self._tail_from = self._check_alive().sent
        yield self._tail

    def _read(self, offset: int) -> bytes:
        try:
            chunk = os.pread(self._upload.fd, min(CHUNK, self._upload.size - offset), offset)
        except OSError as exc:
            raise RetryLater(
                f"The file can't be read at byte {offset}: {exc.strerror}.",
                code="unreadable",
                hint="Check the inbox's disk.",
            ) from exc
        if not chunk:
            raise _changed("became shorter")
        return chunk

    def _stat(self) -> tuple[int, int]:
        now = os.fstat(self._upload.fd)
        if now.st_size != self._upload.size:
            raise _changed("changed its size")
        return now.st_size, now.st_mtime_ns

    def _check_alive(self) -> SocketStream:
        """Don't send the bytes that cost to a server that has answered already or has gone."""
        if self.stream is None or self.stream.answered():
            raise httpcore.WriteError("the server answered before the request's end")
        return self.stream


def safe_filename(name: str) -> str:
    """A file's name for a quoted Content-Disposition parameter, still readable to its owner.

    Quotes and line ends are percent-encoded as browsers do; what is not UTF-8 becomes U+FFFD.
    """
    text = os.fsencode(name.rsplit("/", 1)[-1]).decode("utf-8", "replace")
    text = text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return "".join("_" if c < " " or c in "\\\x7f" else c for c in text) or "audio"


def _head(boundary: str, fields: Mapping[str, str], filename: str) -> bytes:
    name = safe_filename(filename)
    kind = _TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="audio"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    return "".join(parts).encode()


def _changed(how: str) -> RetryLater:
    return RetryLater(
        f"The file {how} while it was being uploaded; nothing was submitted.", code="changed"
    )
