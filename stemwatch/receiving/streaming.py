"""Streams bytes from a client to the disk: memory stays flat whatever their number."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

from stemwatch.receiving.refusal import Refused

MAX_FILE = 100 * 1024 * 1024  # bytes: the same 100 MB that the inbox lets through
FLUSH = 1 << 20  # bytes gathered before a thread writes them
STALL = 60.0  # seconds without a byte


def declared_length(headers: Mapping[str, str], *, limit: int) -> int | None:
    """The declared length of a body (None: not declared); refused when above `limit`, in bytes."""
    declared = headers.get("content-length", "")
    length = int(declared) if declared.isdecimal() else None
    if length is not None and length > limit:
        raise too_large()
    return length


def too_large() -> Refused:
    return Refused(413, "The file is larger than 100 MB.", code="FILE_TOO_LARGE")


async def to_disk(pieces: AsyncIterator[bytes], path: str) -> int:
    """Write all that comes to `path`, synced; returns the number of bytes.

    Refused with 408 when nothing comes for a minute. OSError from the disk passes through, and so
    does whatever the pieces raise.
    """
    try:
        with open(path, "wb", buffering=0) as file:  # noqa: ASYNC230 (opens only, threads write)
            size = await _copy(pieces, file)
            await asyncio.to_thread(os.fsync, file.fileno())
    except TimeoutError:
        raise Refused(408, "Nothing came for a minute.") from None
    return size


async def _copy(pieces: AsyncIterator[bytes], file: Any) -> int:
    loop, size, block = asyncio.get_running_loop(), 0, bytearray()
    async with asyncio.timeout(STALL) as stall:
        async for piece in pieces:
            size += len(piece)
            block += piece
            if len(block) >= FLUSH:
                # In a thread: a busy disk would hold up every other answer.
                await asyncio.to_thread(_write_all, file, block)
                block = bytearray()
            stall.reschedule(loop.time() + STALL)
    await asyncio.to_thread(_write_all, file, block)
    return size


def _write_all(file: Any, block: bytearray) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]
