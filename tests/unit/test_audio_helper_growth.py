"""A long request is waited for while its file grows, and no longer."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from stemwatch.audio.helper.growth import Growth

PATIENCE = 0.8  # seconds; a look each quarter


def waited(path: Path, grows: int) -> tuple[str, int]:
    """The answer of a request that ends after its file has grown `grows` times, and the tellings.

    The file grows once more whenever that is told.
    """
    told = 0
    path.write_bytes(b"x")

    async def scenario() -> str:
        enough = asyncio.Event()

        def tell() -> None:
            nonlocal told
            told += 1
            if told < 6:
                path.write_bytes(bytes(2 + told))
            if told == grows:
                enough.set()

        async def answer() -> str:
            await enough.wait()
            return "made"

        async with asyncio.timeout(PATIENCE) as limit:
            growth = Growth(os.fspath(path), tell)
            return str(await growth.answered(answer(), limit, PATIENCE, lambda: None))

    return asyncio.run(scenario()), told


def test_what_grows_may_take_longer(tmp_path: Path) -> None:
    """Six looks are longer than the patience."""
    assert waited(tmp_path / "out.m4a", 6) == ("made", 6)


def test_what_stops_growing_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        waited(tmp_path / "out.m4a", 7)


def test_what_is_written_once_more_grows_again(tmp_path: Path) -> None:
    """A mix that would clip: its second pass is shorter than the first one for long."""
    path, told, seen = tmp_path / "out.wav", 0, asyncio.Event()

    def tell() -> None:
        nonlocal told
        told += 1
        seen.set()

    async def answer() -> str:
        path.write_bytes(bytes(10_000))
        await seen.wait()
        path.write_bytes(b"")
        while told < 6:  # looks: longer than the patience
            with path.open("ab") as file:
                file.write(b"x")
            await asyncio.sleep(0.01)
        return "made"

    async def scenario() -> str:
        async with asyncio.timeout(PATIENCE) as limit:
            growth = Growth(os.fspath(path), tell)
            return str(await growth.answered(answer(), limit, PATIENCE, lambda: None))

    assert asyncio.run(scenario()) == "made"


def test_a_fault_is_raised(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def answer() -> None:
            raise EOFError

        async with asyncio.timeout(PATIENCE) as limit:
            growth = Growth(os.fspath(tmp_path / "none"), lambda: None)
            await growth.answered(answer(), limit, PATIENCE, lambda: None)

    with pytest.raises(EOFError):
        asyncio.run(scenario())
