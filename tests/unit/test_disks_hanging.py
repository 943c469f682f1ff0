"""Looking at disks that may hang: shared while under way, given up in time, threads used again."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from functools import partial

import pytest

from stemwatch.disks.hanging import NoAnswer, Reach
from tests.support.waiting import wait_for, wait_for_async


class Disk:
    """A disk that answers once it is `back`."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.looked: list[str] = []
        self.threads: set[int] = set()

    def look(self, path: str) -> str:
        self.looked.append(path)
        self.threads.add(threading.get_ident())
        self.back.wait(30)
        return path.upper()

    def fail(self, path: str) -> str:
        raise OSError(path)


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.back.set()


def test_each_path_is_looked_at_by_one_thread_again_and_again(disk: Disk) -> None:
    async def scenario() -> None:
        disk.back.set()
        reach = Reach()
        for _ in range(5):
            assert await reach.ask(disk.look, "/a", "/b") == ["/A", "/B"]
            await wait_for_async(lambda: reach._idle)  # else the next ask begins another thread
        assert disk.looked == ["/a", "/b"] * 5
        assert len(disk.threads) == 1
        assert await reach.ask(disk.look) == []

    asyncio.run(scenario())


def test_ten_that_ask_at_once_share_one_look(disk: Disk) -> None:
    async def scenario() -> None:
        reach = Reach()
        asking = [asyncio.ensure_future(reach.ask(disk.look, "/a")) for _ in range(10)]
        await wait_for_async(lambda: disk.looked)
        asking[0].cancel()  # one that goes away takes nobody's answer with it
        disk.back.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == [["/A"]] * 9
        assert disk.looked == ["/a"]

    asyncio.run(scenario())


def test_a_hung_disk_is_named_at_once_the_second_time_and_asked_when_it_is_back(disk: Disk) -> None:
    async def scenario() -> None:
        reach = Reach(patience=0.02)
        with pytest.raises(NoAnswer) as hung:
            await reach.ask(disk.look, "/a", "/b")
        assert hung.value.path == "/a"
        with pytest.raises(NoAnswer):
            await reach.ask(disk.look, "/a", "/b")
        assert disk.looked == ["/a"]
        disk.back.set()
        await wait_for_async(lambda: disk.looked == ["/a", "/b"])
        while True:  # the thread needs its moment to give its answer
            try:
                assert await reach.ask(disk.look, "/a", "/b") == ["/A", "/B"]
                break
            except NoAnswer:
                await asyncio.sleep(0.001)

    asyncio.run(scenario())


def test_what_a_look_raises_is_raised(disk: Disk) -> None:
    async def scenario() -> None:
        reach = Reach()
        for _ in range(2):
            with pytest.raises(OSError, match="/a"):
                await reach.ask(disk.fail, "/a")

    asyncio.run(scenario())


def test_nothing_is_kept_of_what_was_answered(disk: Disk) -> None:
    """Each folder that ever refused files is asked for: an entry for each of them would stay."""

    async def scenario() -> None:
        reach = Reach(patience=0.02)
        with pytest.raises(NoAnswer):
            await reach.ask(disk.look, "/hung")
        assert len(reach._asked) == 1
        with pytest.raises(OSError, match="/bad"):
            await reach.ask(disk.fail, "/bad")
        disk.back.set()
        await asyncio.gather(*(reach.ask(disk.look, f"/{n % 3}") for n in range(9)))
        await wait_for_async(lambda: not reach._asked)

    asyncio.run(scenario())


class Seen:
    """What a look saw."""


def test_what_is_answered_once_its_loop_is_closed_is_let_go() -> None:
    """`status --watch` has a loop for each look, and may see 20,000 files of a slow share in it."""
    back, seen = threading.Event(), weakref.WeakSet[Seen]()

    def look(_number: int, _path: str) -> Seen:
        back.wait(30)
        found = Seen()
        seen.add(found)
        return found

    reach = Reach(0.01)
    for number in range(5):
        with pytest.raises(NoAnswer):
            asyncio.run(reach.ask(partial(look, number), "/a"))
    back.set()
    wait_for(lambda: len(reach._idle) == 5)
    with pytest.raises(OSError):
        asyncio.run(reach.ask(Disk().fail, "/a"))
    gc.collect()
    assert not seen
