"""A few threads of their own for many short calls to disks, whose results come back in groups."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Crew:
    """Up to `most` threads, which make the calls of one event loop in the order of asking.

    A call costs a third of `asyncio.to_thread`: no future of its own with a lock, and one wake-up
    of the loop for all calls that end together. The threads are daemons: a call that hangs on a
    disk does not hold up the end of the program. Nothing has to be closed: without work they sleep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads = 0
        self._asked: SimpleQueue[tuple[Callable[..., Any], Any, asyncio.Future[Any]]]
        self._asked = SimpleQueue()
        self._free = 0  # threads that wait for work: a guess, which starts one too many at worst
        self._ended: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._told = False  # the loop is going to look at `_ended`

    def call(self, what: Callable[[Unpack[Args]], T], *args: *Args) -> asyncio.Future[T]:
        """The future of `what(*args)`. A call is not made if its future is cancelled before."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked.put((what, args, future))
        if self._threads < self._most and self._asked.qsize() > self._free:
            self._threads += 1
            threading.Thread(target=self._run, name="crew", daemon=True).start()
        return future

    def _run(self) -> None:
        while True:
            self._free += 1
            what, args, future = self._asked.get()
            self._free -= 1
            if future.cancelled():
                continue
            value, fault = None, None
            try:
                value = what(*args)
            except BaseException as met:
                fault = met
            self._ended.append((future, value, fault))
            if not self._told:
                self._told = True
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    future.get_loop().call_soon_threadsafe(self._tell)
            del what, args, future, value, fault  # or the last call's would be kept while idle

    def _tell(self) -> None:
        self._told = False  # first: what ends from here on asks for another look
        while self._ended:
            future, value, fault = self._ended.popleft()
            if future.cancelled():
                continue
            if fault is not None:
                future.set_exception(fault)
            else:
                future.set_result(value)
