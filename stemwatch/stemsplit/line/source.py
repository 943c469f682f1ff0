"""Reads an upload's bytes from a disk that may hang, and fails if the file has changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from stemwatch.codes import Code
from stemwatch.errors import RetryLater
from stemwatch.stemsplit.interface import Upload

CHUNK = 256 * 1024
_STEP = 128 * 1024  # less than the kernel reads ahead
_AT_ONCE: int = getattr(os, "RWF_NOWAIT", 0)  # Linux only


def on_a_disk(fd: int) -> bool:
    """Whether this file is on a disk of this machine, so that looking at it can't hang.

    Such file systems can answer "not in memory" where a read would have to wait; no share can.
    """
    if not _AT_ONCE:
        return False
    try:
        os.preadv(fd, [bytearray(1)], 0, _AT_ONCE)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


class Source:
    """Reads an upload once, from its descriptor.

    Chunks that the kernel has in memory are read directly. Threads read all others: the file may
    be on a share that hangs, and the service must not hang with it.
    """

    def __init__(self, upload: Upload) -> None:
        self._fd, self._size = upload.fd, upload.size
        self._byte = bytearray(1)
        self._near = on_a_disk(self._fd)
        self._before: tuple[int, int] | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        self._before = await self._look()
        offset = 0
        while offset < self._size:
            chunk = self._cached(offset) or await asyncio.to_thread(self._read, offset)
            yield chunk
            offset += len(chunk)

    async def require_same(self) -> None:
        """Raise RetryLater unless the file is what it was when its first chunk was read."""
        if await self._look() != self._before:
            raise _changed("changed")

    def _cached(self, offset: int) -> bytes:
        """The next chunk if the kernel has it in memory, else b"".

        One byte in each _STEP is asked for without waiting, then a plain read takes the chunk.
        Asking for the whole chunk without waiting would fill a buffer of ours, and copying out of
        that took a fifth of the time. If a page between two such bytes is missing after all, the
        plain read waits for a disk of this machine only.
        """
        end = min(offset + CHUNK, self._size)
        if not self._near:
            return b""
        try:
            for at in (*range(offset, end, _STEP), end - 1):
                if not os.preadv(self._fd, [self._byte], at, _AT_ONCE):
                    return b""
            return os.pread(self._fd, end - offset, offset)
        except OSError:
            return b""

    def _read(self, offset: int) -> bytes:
        try:
            chunk = os.pread(self._fd, min(CHUNK, self._size - offset), offset)
        except OSError as exc:
            raise _unreadable(exc) from exc
        if not chunk:
            raise _changed("became shorter")
        return chunk

    async def _look(self) -> tuple[int, int]:
        try:
            now = os.fstat(self._fd) if self._near else await asyncio.to_thread(os.fstat, self._fd)
        except OSError as exc:
            raise _unreadable(exc) from exc
        if now.st_size != self._size:
            raise _changed("changed its size")
        return now.st_size, now.st_mtime_ns


def _unreadable(fault: OSError) -> RetryLater:
    return RetryLater(
        f"The file can't be read: {fault.strerror}.",
        code=Code.UNREADABLE,
        hint="Check the inbox's disk.",
    )


def _changed(how: str) -> RetryLater:
    return RetryLater(
        f"The file {how} while it was being uploaded; nothing was submitted.", code=Code.CHANGED
    )
