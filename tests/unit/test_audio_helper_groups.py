"""Small files share requests; a group that fails is asked for one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from stemwatch.audio.helper.groups import MOST, Groups


def test_what_is_asked_at_once_shares_requests() -> None:
    asked: list[list[str]] = []

    async def ask(paths: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        asked.append(list(paths))
        await asyncio.sleep(0)
        return [{"result": path} for path in paths]

    async def scene() -> list[Mapping[str, Any] | None]:
        groups = Groups(ask)
        return await asyncio.gather(*(groups.answer(str(n)) for n in range(40)))

    assert asyncio.run(scene()) == [{"result": str(n)} for n in range(40)]
    assert max(map(len, asked)) <= MOST
    assert len(asked) <= 10
    assert sorted(path for group in asked for path in group) == sorted(map(str, range(40)))


def test_two_files_go_to_two_helpers() -> None:
    asked: list[int] = []

    async def ask(paths: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        asked.append(len(paths))
        return [{} for _ in paths]

    async def scene() -> None:
        groups = Groups(ask)
        await asyncio.gather(groups.answer("a"), groups.answer("b"))

    asyncio.run(scene())
    assert asked == [1, 1]


def test_a_group_that_fails_blames_nobody() -> None:
    """And the next one is asked as ever."""
    fails = True

    async def ask(paths: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        if fails:
            raise EOFError("the helper ended")
        return [{"result": 1} for _ in paths]

    async def scene() -> None:
        nonlocal fails
        groups = Groups(ask)
        assert await asyncio.gather(*(groups.answer("a") for _ in range(9))) == [None] * 9
        fails = False
        assert await groups.answer("a") == {"result": 1}

    asyncio.run(scene())


def test_nobody_hangs_once_it_is_given_up() -> None:
    async def ask(paths: Sequence[str]) -> Sequence[Mapping[str, Any]]:  # noqa: ARG001
        await asyncio.Event().wait()
        return []

    async def scene() -> None:
        groups = Groups(ask)
        waiting = [asyncio.ensure_future(groups.answer("a")) for _ in range(40)]
        for _ in range(3):
            await asyncio.sleep(0)
        groups.cancel()
        for one in waiting:
            with pytest.raises(asyncio.CancelledError):
                await one

    asyncio.run(scene())


def test_who_asks_as_both_senders_end_is_asked_for() -> None:
    """All of it in one tick of the loop."""
    asked, both, answering = 0, asyncio.Event(), asyncio.Event()

    async def ask(paths: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        nonlocal asked
        asked += 1
        if asked == 2:
            both.set()
        await answering.wait()
        return [{"result": path} for path in paths]

    async def ask_then(groups: Groups) -> Mapping[str, Any] | None:
        await answering.wait()
        return await groups.answer("c")

    async def scene() -> None:
        groups = Groups(ask)
        first = [asyncio.ensure_future(groups.answer(path)) for path in "ab"]
        await both.wait()
        third = asyncio.ensure_future(ask_then(groups))
        await asyncio.sleep(0)
        answering.set()
        async with asyncio.timeout(5):
            assert await asyncio.gather(*first, third) == [{"result": path} for path in "abc"]

    asyncio.run(scene())
