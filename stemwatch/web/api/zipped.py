"""Stems as one ZIP, made as it is sent: stored, its length known before, memory flat."""

from __future__ import annotations

import asyncio
import os
import time
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from stemwatch.web.api.files import BLOCK, attachment, changed_at, let_go

_CLASSIC = 0xFFFF_FFFF - (1 << 20)  # bytes that an archive without ZIP64 may have
# What surrounds an entry's bytes: its header, its sizes after it, its line in the directory.
_AROUND, _END = 30 + 16 + 46, 22


class ZipAnswer:
    """ASGI: open files under their names, closed in the end."""

    def __init__(self, name: str, files: Sequence[tuple[str, int]]) -> None:
        self._name = name
        self._files = files

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002
        try:
            headers = [
                (b"content-type", b"application/zip"),
                (b"cache-control", b"no-store"),
                (b"content-disposition", attachment(self._name).encode("latin-1")),
            ]
            length = await asyncio.to_thread(_length, self._files)
            if length is not None:
                headers.append((b"content-length", str(length).encode()))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            pieces = _pieces(self._files) if scope["method"] != "HEAD" else iter(())
            connection = scope["state"]["connection"]
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                if connection.is_gone:
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            let_go(_close, self._files)


def _length(files: Sequence[tuple[str, int]]) -> int | None:
    return length_of([(name, os.fstat(fd).st_size) for name, fd in files])


def _close(files: Sequence[tuple[str, int]]) -> None:
    for _, fd in files:
        os.close(fd)


def length_of(files: Sequence[tuple[str, int]]) -> int | None:
    """Bytes of the archive of files of so many bytes; None where it needs ZIP64, whose is not said.

    Names of other characters than ASCII are stored as UTF-8.
    """
    names = [len(name.encode()) for name, _ in files]
    total = sum(size for _, size in files) + sum(_AROUND + 2 * one for one in names) + _END
    return total if total < _CLASSIC else None


class _Out:
    """What `zipfile` writes, until it is taken; it can't be sought in."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken


def _pieces(files: Sequence[tuple[str, int]]) -> Iterator[bytes]:
    out = _Out()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name, fd in files:
            found = os.fstat(fd)
            size = found.st_size
            entry = zipfile.ZipInfo(name, time.localtime(changed_at(found))[:6])
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=size >= _CLASSIC) as inside:
                position = 0
                while position < size:
                    block = os.pread(fd, min(BLOCK, size - position), position)
                    if not block:
                        raise OSError(f"{name} became shorter while it was read")
                    inside.write(block)
                    position += len(block)
                    yield out.take()
    yield out.take()
