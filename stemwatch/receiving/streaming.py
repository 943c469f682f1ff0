"""Streams bytes from a client to the disk: memory stays flat whatever their number."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress

from stemwatch.receiving.refusal import Refused
from stemwatch.tasks import in_a_thread

MAX_FILE = 100 * 1024 * 1024  # bytes: what StemSplit takes of a file on wire A
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

    Refused with 408 when nothing comes for a minute, with 503 when a write takes a minute; syncing
    and closing take what they take. OSError from the disk passes through, and so does whatever the
    pieces raise. After a fault the file is closed as soon as the disk lets go of it, and nobody
    waits for that.
    """
    file = await asyncio.to_thread(io.FileIO, path, "wb")
    with _block_size() as block:
        blocks = _Blocks(file, block)
        try:
            size = await _copy(pieces, blocks)
        except BaseException:
            blocks.give_up()
            raise
    await asyncio.to_thread(_close_synced, file)
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
                stall.reschedule(loop.time() + STALL)  # the disk gets its own minute
                size += len(piece)
                await blocks.write(piece)
                stall.reschedule(loop.time() + STALL)
            await blocks.finish()
    except TimeoutError:
        if not stall.expired():  # the disk's own: ETIMEDOUT
            raise
        if blocks.waiting:
            words, later = "The disk took nothing for a minute.", {"Retry-After": "60"}
            raise Refused(503, words, later) from None
        raise Refused(408, "Nothing came for a minute.") from None
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
        self.waiting = False  # for the disk, not for who sends

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

    def give_up(self) -> None:
        """Have the file closed, and wait for nothing: on a share that hangs, `close` hangs as well.

        It is not closed beside a write, which would go on with what has the descriptor next.
        """
        if self._writing is None:
            self._close()
        else:
            self._writing.add_done_callback(self._close)

    def _close(self, _: object = None) -> None:
        with suppress(RuntimeError):  # the process ends, and closes it
            in_a_thread(self._file.close, broken=_is_told_already)

    async def _begin(self) -> None:
        await self._written()
        block = memoryview(self._block)[: self._filled]
        self._writing = in_a_thread(_write_all, self._file, block, broken=_is_told_already)
        self._block, self._other, self._filled = self._other, self._block, 0

    async def _written(self) -> None:
        if self._writing is not None:
            self.waiting = True
            await asyncio.wait((self._writing,))  # not cancelled with us: its end is the file's
            self._writing.result()
            self._writing, self.waiting = None, False


def _is_told_already(fault: BaseException) -> None:
    """By the next write; or the request has failed before, and tells its own fault."""


def _close_synced(file: io.FileIO) -> None:
    with file:
        os.fsync(file.fileno())


def _write_all(file: io.FileIO, rest: memoryview) -> None:
    while rest:
        rest = rest[file.write(rest) :]
