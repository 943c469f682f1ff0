"""A thread that runs the work of one database connection, in groups, for an event loop's tasks.

The event loop never waits for a disk. It hears of a whole group at once: the group's tasks go on
together, so that what they ask for next is a group again.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from stemwatch.errors import JournalFault

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
Asked = tuple[Work, asyncio.Future[Any]]
Answer = tuple[Any, Exception | None]
GROUP = 64


class ConnectionThread(ABC):
    """Runs pieces of work in the order in which they were asked for."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self.connection = connection
        self._queue: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Queue `work` from a running loop; returns the future of its result.

        Work is not run if its future is cancelled before its turn.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._closed:  # nobody would ever answer: a task that is left over must not hang
            future.set_exception(JournalFault("the journal is closed already."))
        else:
            self._queue.put((work, future))
        return future

    def close(self) -> None:
        """Finish what is queued, then close the connection."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self.connection.close()

    @abstractmethod
    def _do(self, group: Sequence[Work]) -> list[Answer]:
        """Run the whole group; returns (value, None) or (None, fault) for each piece of work."""

    def _run(self) -> None:
        open_for_work = True
        while open_for_work:
            group: list[Asked] = []
            item = self._queue.get()
            while item is not None:
                if not item[1].cancelled():
                    group.append(item)
                if len(group) == GROUP:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            else:
                open_for_work = False
            if group:
                _answer(group, self._answers([work for work, _ in group]))

    def _answers(self, group: Sequence[Work]) -> list[Answer]:
        """Answer every task, even if `_do` fails unexpectedly: else they would wait for ever."""
        try:
            return self._do(group)
        except Exception as fault:
            told = self.broken(fault)
            told.__cause__ = fault
            return [(None, told)] * len(group)

    def broken(self, fault: Exception) -> JournalFault:
        """The fault that every task of the group gets when `_do` failed unexpectedly."""
        return JournalFault(
            f"the journal's thread met an unexpected fault: {fault!r}.",
            hint="Please report it; nothing that was confirmed is lost, and a new start goes on.",
        )


def _answer(group: list[Asked], answers: list[Answer]) -> None:
    """Tell each loop once: one wake-up for a group, not one for each of its tasks."""
    told: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Answer]]] = {}
    for (_, future), answer in zip(group, answers, strict=True):
        told.setdefault(future.get_loop(), []).append((future, answer))
    for loop, its in told.items():
        with suppress(RuntimeError):  # that loop is closed: nobody waits there
            loop.call_soon_threadsafe(_tell, its)


def _tell(answers: list[tuple[asyncio.Future[Any], Answer]]) -> None:
    for future, (value, error) in answers:
        if future.cancelled():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
