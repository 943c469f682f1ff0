"""A long request is waited for while its file grows, and no longer."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest

from stemwatch.audio.helper import growth as growing
from stemwatch.audio.helper.growth import Growth

PATIENCE = 60.0  # seconds: no busy machine uses it up


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "_LOOK", 0.02)


def waited(path: Path, grows: int, patience: float = PATIENCE) -> tuple[str, list[float]]:
    """The answer of a request that ends after its file has grown `grows` times.

    And when it would have been given up: at first, and at each telling. The file grows once more
    whenever that is told.
    """
    ends: list[float] = []
    path.write_bytes(b"x")

    async def scenario() -> str:
        enough = asyncio.Event()

        def tell() -> None:
            ends.append(limit.when() or 0.0)
            told = len(ends) - 1
            if told < 6:
                path.write_bytes(bytes(2 + told))
            if told == grows:
                enough.set()

        async def answer() -> str:
            await enough.wait()
            return "made"

        async with asyncio.timeout(patience) as limit:
            ends.append(limit.when() or 0.0)
            growth = Growth(os.fspath(path), tell)
            return str(await growth.answered(answer(), limit, patience, lambda: None))

    return asyncio.run(scenario()), ends


def test_what_grows_may_take_longer(tmp_path: Path) -> None:
    """Its end is put off at each look that finds it grown."""
    answer, ends = waited(tmp_path / "out.m4a", 6)
    assert (answer, len(ends)) == ("made", 7)
    assert all(before < after for before, after in pairwise(ends))


def test_what_stops_growing_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        waited(tmp_path / "out.m4a", 7, patience=0.4)


def test_what_is_written_once_more_grows_again(tmp_path: Path) -> None:
    """A mix that would clip: its second pass is shorter than the first one for long."""
    path = tmp_path / "out.wav"
    ends: list[float] = []

    async def scenario() -> str:
        seen = asyncio.Event()

        def tell() -> None:
            ends.append(limit.when() or 0.0)
            seen.set()

        async def answer() -> str:
            path.write_bytes(bytes(10_000))
            await seen.wait()
            path.write_bytes(b"")
            while len(ends) < 7:
                with path.open("ab") as file:
                    file.write(b"x")
                await asyncio.sleep(0.01)
            return "made"

        async with asyncio.timeout(PATIENCE) as limit:
            ends.append(limit.when() or 0.0)
            growth = Growth(os.fspath(path), tell)
            return str(await growth.answered(answer(), limit, PATIENCE, lambda: None))

    assert asyncio.run(scenario()) == "made"
    assert all(before < after for before, after in pairwise(ends))


def test_a_fault_is_raised(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def answer() -> None:
            raise EOFError

        async with asyncio.timeout(PATIENCE) as limit:
            growth = Growth(os.fspath(tmp_path / "none"), lambda: None)
            await growth.answered(answer(), limit, PATIENCE, lambda: None)

    with pytest.raises(EOFError):
        asyncio.run(scenario())
