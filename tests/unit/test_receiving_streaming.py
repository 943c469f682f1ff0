"""What comes is on the disk, to the byte, whatever the pieces; a full disk is told at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stemwatch.receiving.streaming import FLUSH, to_disk


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
