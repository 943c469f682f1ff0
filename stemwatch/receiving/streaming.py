"""Streams bytes from a client to the disk: memory stays flat whatever their number."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

from stemwatch.receiving.refusal import Refused
from stemwatch.tasks import supervise

MAX_FILE = 100 * 1024 * 1024  # bytes: the same 100 MB that the inbox lets through
FLUSH = 1 << 20  # bytes gathered before a thread writes them; each upload has two such blocks
CROWD = 8  # uploads at once that have such blocks: for two hundred they would take 400 MB
SMALL = 1 << 17  # bytes of the others' blocks; each block changes threads, at a third of the speed
STALL = 60.0  # seconds without a byte

_under_way: set[object] = set()  # uploads of this process


def declared_length(headers: Mapping[str, str], *, limit: int) -> int | None:
    """The declared length of a body (None: not declared); refused when above `limit`, in bytes."""
    declared = headers.get("content-length", "")
    length = int(declared) if declared.isdecimal() else None
    if length is not None and length > limit:
        raise too_large()
    return length


def too_large() -> Refused:
    return Refused(413, "The file is larger than 100 MB.", code="FILE_TOO_LARGE")


async def to_disk(pieces: AsyncIterator[bytes | bytearray], path: str) -> int:
    """Write all that comes to `path`, synced; returns the number of bytes.

    Refused with 408 when nothing comes for a minute. OSError from the disk passes through, and so
    does whatever the pieces raise.
    """
    try:
        with open(path, "wb", buffering=0) as file:  # noqa: ASYNC230 (opens only, threads write)
            with _block_size() as block:
                size = await _copy(pieces, _Blocks(file, block))
            await asyncio.to_thread(os.fsync, file.fileno())
    except TimeoutError:
        raise Refused(408, "Nothing came for a minute.") from None
    return size


@contextmanager
def _block_size() -> Iterator[int]:
    """The bytes of a block, for an upload that is under way meanwhile."""
    upload = object()
    _under_way.add(upload)
    try:
        yield FLUSH if len(_under_way) <= CROWD else SMALL
    finally:
        _under_way.remove(upload)


async def _copy(pieces: AsyncIterator[bytes | bytearray], blocks: _Blocks) -> int:
    loop, size = asyncio.get_running_loop(), 0
    try:
        async with asyncio.timeout(STALL) as stall:
            async for piece in pieces:
                size += len(piece)
                await blocks.write(piece)
                stall.reschedule(loop.time() + STALL)
        await blocks.finish()
    finally:
        blocks.forget()
    return size


class _Blocks:
    """Gathers blocks, and writes each in a thread: a busy disk would hold up every other answer.

    One block is filled while the other is written. Both are used again and again, since fresh
    memory costs more than the copy into it.
    """

    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file = file
        self._size = size
        self._block, self._other = bytearray(size), bytearray(size)
        self._filled = 0
        self._writing: asyncio.Future[None] | None = None

    async def write(self, piece: bytes | bytearray) -> None:
        """Take these bytes; raises the OSError of those before."""
        rest = memoryview(piece)
        while rest:
            count = min(len(rest), self._size - self._filled)
            self._block[self._filled : self._filled + count] = rest[:count]
            self._filled += count
            rest = rest[count:]
            if self._filled == self._size:
                await self._begin()

    async def finish(self) -> None:
        """Return when everything is written."""
        await self._begin()
        await self._written()

    def forget(self) -> None:
        """Await nothing any more: a disk that hangs must not keep a request that has failed."""
        if self._writing is not None:
            self._writing.cancel()

    async def _begin(self) -> None:
        await self._written()
        block = memoryview(self._block)[: self._filled]
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(None, _write_all, self._file, block)
        supervise(writing, _is_raised_by_the_next)
        self._writing = writing
        self._block, self._other, self._filled = self._other, self._block, 0

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing
            self._writing = None


def _is_raised_by_the_next(fault: BaseException) -> None:
    """Who writes on meets it; a request that has failed before has its own fault to tell."""


def _write_all(file: io.FileIO, rest: memoryview) -> None:
    while rest:
        rest = rest[file.write(rest) :]
