"""What comes is on the disk, to the byte, whatever the pieces; a full disk is told at once."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stemwatch.receiving import streaming
from stemwatch.receiving.refusal import Refused
from stemwatch.receiving.streaming import CROWD, FLUSH, SMALL, to_disk


async def pieces(content: bytes, step: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), step):
        yield content[start : start + step]


@pytest.mark.parametrize("size", [0, 1, FLUSH - 1, FLUSH, FLUSH + 1, 5 * FLUSH + 17])
@pytest.mark.parametrize("step", [65_537, FLUSH, 3 * FLUSH])
def test_blocks_follow_each_other(tmp_path: Path, size: int, step: int) -> None:
    """One is written while the next one comes, into memory that is used again and again."""
    content = os.urandom(size)
    assert asyncio.run(to_disk(pieces(content, step), str(tmp_path / "song"))) == size
    assert (tmp_path / "song").read_bytes() == content


@pytest.mark.parametrize("size", [1, FLUSH, 3 * FLUSH])
def test_a_full_disk_is_told(size: int) -> None:
    with pytest.raises(OSError, match="No space left"):
        asyncio.run(to_disk(pieces(bytes(size), 65_536), "/dev/full"))


class Counting(ThreadPoolExecutor):
    """Counts how often work changes from the loop to a thread: that is what an upload costs."""

    changes = 0

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.changes += 1
        return super().submit(call, *args, **kwargs)


def test_one_upload_changes_threads_once_a_megabyte(tmp_path: Path) -> None:
    """By blocks of 128 KiB the page took 0.15 of the speed of a plain copy, by these 0.5."""

    async def receive() -> int:
        counting = Counting()
        asyncio.get_running_loop().set_default_executor(counting)
        await to_disk(pieces(bytes(20_000_000), 65_536), str(tmp_path / "song"))
        return counting.changes

    assert asyncio.run(receive()) <= 22


def test_two_hundred_uploads_take_little_memory(tmp_path: Path) -> None:
    """All of them have begun before any goes on."""

    async def receive() -> int:
        begun, go = asyncio.Semaphore(0), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield bytes(100)
            begun.release()
            await go.wait()

        tracemalloc.start()
        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(to_disk(slow(), str(tmp_path / f"song {number}")))
            for _ in range(200):
                await begun.acquire()
            _, most = tracemalloc.get_traced_memory()
            go.set()
        tracemalloc.stop()
        return most

    blocks = 2 * (CROWD * FLUSH + (200 - CROWD) * SMALL)
    assert asyncio.run(receive()) <= blocks + 10_000_000 < 80_000_000


async def two_blocks() -> AsyncIterator[bytes]:
    """And nothing more: the first one is being written, the second waits for it."""
    yield bytes(FLUSH)
    yield bytes(FLUSH)
    await asyncio.sleep(60)


async def nothing() -> AsyncIterator[bytes]:
    yield b"half"
    await asyncio.sleep(60)


def open_for_writing(path: str) -> int:
    """How many descriptors of ours lead there and can be written to."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}") == path:
                flags = Path(f"/proc/self/fdinfo/{fd}").read_text().split("flags:")[1].split()[0]
                found += int(flags, 8) & os.O_ACCMODE == os.O_WRONLY
    return found


def test_who_stalls_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender, or the disk: its file is closed when it lets go of it, never beside a write."""
    monkeypatch.setattr(streaming, "STALL", 0.2)
    path = str(tmp_path / "song")
    os.mkfifo(path)  # it takes 64 KiB and then hangs, as a share does
    end = io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK))

    async def receive() -> None:
        with pytest.raises(Refused, match="408: Nothing came for a minute"):
            await to_disk(nothing(), str(tmp_path / "other"))
        with end:
            with pytest.raises(Refused, match="503: The disk took nothing for a minute"):
                await to_disk(two_blocks(), path)
            assert open_for_writing(path) == 1
            while open_for_writing(path):
                end.read(FLUSH)
                await asyncio.sleep(0)

    asyncio.run(receive())


def test_a_disk_whose_server_timed_out_is_no_slow_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ETIMEDOUT is a TimeoutError, too."""

    def timed_out(_: int) -> None:
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    monkeypatch.setattr(os, "fsync", timed_out)
    with pytest.raises(OSError, match="timed out"):
        asyncio.run(to_disk(pieces(b"song", 4), str(tmp_path / "song")))
