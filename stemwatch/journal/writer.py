"""One thread that writes: transactions from all tasks share a commit (and its fsync).

The event loop never waits for a disk, and hears of a whole group at once: its tasks go on together,
so that their next transactions share a commit again.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from stemwatch.errors import JournalFault, PauseService, StemwatchError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
Asked = tuple[Work, asyncio.Future[Any]]
Answer = tuple[Any, Exception | None]
GROUP = 64
_UNSAFE = {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Writer:
    """Runs pieces of work in commit order; a result is handed out only once it is durable."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._inbox: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self.failed: StemwatchError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Queue `work` from a running loop; its exception undoes only its own statements.

        It touches nothing but the database, for it may be run twice; not at all if its future is
        cancelled before its turn.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._closed:  # nobody would ever answer: a task that is left over must not hang
            future.set_exception(JournalFault("the journal is closed already."))
        else:
            self._inbox.put((work, future))
        return future

    def close(self) -> None:
        """Finish what is queued, then close the connection."""
        self._closed = True
        self._inbox.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        open_for_work = True
        while open_for_work:
            group: list[Asked] = []
            item = self._inbox.get()
            while item is not None:
                if not item[1].cancelled():
                    group.append(item)
                if len(group) == GROUP:
                    break
                try:
                    item = self._inbox.get_nowait()
                except queue.Empty:
                    break
            else:
                open_for_work = False
            if group:
                self._commit(group)

    def _commit(self, group: list[Asked]) -> None:
        if self.failed is not None:
            _answer(group, [(None, self.failed)] * len(group))
            return
        try:
            answers = self._together(group) or self._separately(group)
        except sqlite3.Error as fault:
            answers = [(None, self._explain(fault))] * len(group)
        _answer(group, answers)

    def _together(self, group: list[Asked]) -> list[Answer] | None:
        """All of it, or nothing and None: a savepoint each would cost a fifth of the time."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            answers: list[Answer] = [(work(self._connection), None) for work, _ in group]
        except Exception as error:
            if _concerns_all(error):
                raise
            self._connection.execute("ROLLBACK")
            return None
        self._connection.execute("COMMIT")
        return answers

    def _separately(self, group: list[Asked]) -> list[Answer]:
        """Once more, with each failure undone alone."""
        self._connection.execute("BEGIN IMMEDIATE")
        answers = [self._one(work) for work, _ in group]
        self._connection.execute("COMMIT")
        return answers

    def _one(self, work: Work) -> Answer:
        """One piece of work under a savepoint, so that its failure is its own."""
        self._connection.execute("SAVEPOINT work")
        try:
            value = work(self._connection)
        except Exception as error:
            if _concerns_all(error):
                raise
            self._connection.execute("ROLLBACK TO work")
            self._connection.execute("RELEASE work")
            return None, error
        self._connection.execute("RELEASE work")
        return value, None

    def _explain(self, fault: sqlite3.Error) -> StemwatchError:
        """A failed fsync is final: the kernel has marked the pages clean, a second one lies."""
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as second:
                fault = second
        told = explained(fault)
        if isinstance(told, JournalFault):
            self.failed = told
        return told


def _concerns_all(error: Exception) -> bool:
    """Did the disk, the lock or the database itself fail, not one piece of work?"""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def explained(fault: sqlite3.Error) -> StemwatchError:
    """JournalFault where nothing can be trusted any more; PauseService where waiting may help."""
    code = getattr(fault, "sqlite_errorcode", None) or 0
    if code in _UNSAFE or code & 0xFF in _DAMAGED:
        return JournalFault(
            f"the journal is damaged, or its disk failed: {fault}.",
            hint="Check the disk of `state_dir` (`dmesg`), then start again: "
            "nothing that was confirmed is lost.",
        )
    return PauseService(
        f"the journal can't be used: {fault}.",
        code="journal",
        hint="Make room on the disk of `state_dir`; work goes on by itself then.",
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
