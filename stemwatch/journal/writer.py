"""The journal's writing thread: write operations of all tasks share a commit (and its fsync)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from stemwatch.codes import Code
from stemwatch.errors import JournalFault, PauseService, StemwatchError
from stemwatch.journal.threads import Answer, ConnectionThread, Work

T = TypeVar("T")
_UNSAFE = {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Later(Generic[T]):
    """Work that a power cut may undo at no cost; it is on the disk with the next durable commit."""

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self._work = work

    def __call__(self, db: sqlite3.Connection) -> T:
        return self._work(db)


class Writer(ConnectionThread):
    """Runs pieces of work in commit order; a result is handed out only once it is durable.

    The result of a `Later` is handed out at its commit. No later commit is durable before that one.

    A piece's exception undoes only its own statements. A piece touches nothing but the database,
    for it may be run twice. `failed` is the fault after which nothing can be written any more.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.failed: StemwatchError | None = None
        self._waits = True  # commits wait for the disk, as `schema.connect` set it
        super().__init__(connection, "journal")

    def _do(self, group: Sequence[Work]) -> list[Answer]:
        if self.failed is not None:
            return [(None, self.failed)] * len(group)
        try:
            self._wait_for_disk(not all(isinstance(work, Later) for work in group))
            return self._together(group) or self._separately(group)
        except sqlite3.Error as fault:
            return [(None, self._explain(fault))] * len(group)

    def broken(self, fault: Exception) -> JournalFault:
        """Refuse all further writes: nobody knows what the transaction under way holds."""
        self.failed = told = super().broken(fault)
        return told

    def _wait_for_disk(self, waits: bool) -> None:
        if waits != self._waits:
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if waits else 'NORMAL'}")
            self._waits = waits

    def _together(self, group: Sequence[Work]) -> list[Answer] | None:
        """Run the whole group; None, with nothing changed, if a piece of work fails.

        A savepoint for each piece would cost a fifth of the time.
        """
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            answers: list[Answer] = [(work(self.connection), None) for work in group]
        except Exception as error:
            if _concerns_all(error):
                raise
            self.connection.execute("ROLLBACK")
            return None
        self.connection.execute("COMMIT")
        return answers

    def _separately(self, group: Sequence[Work]) -> list[Answer]:
        """Run the group once more, with a savepoint for each piece: a failure is undone alone."""
        self.connection.execute("BEGIN IMMEDIATE")
        answers = [self._one(work) for work in group]
        self.connection.execute("COMMIT")
        return answers

    def _one(self, work: Work) -> Answer:
        """One piece of work under a savepoint, so that its failure is its own."""
        self.connection.execute("SAVEPOINT work")
        try:
            value = work(self.connection)
        except Exception as error:
            if _concerns_all(error):
                raise
            self.connection.execute("ROLLBACK TO work")
            self.connection.execute("RELEASE work")
            return None, error
        self.connection.execute("RELEASE work")
        return value, None

    def _explain(self, fault: sqlite3.Error) -> StemwatchError:
        """Roll back; returns the fault for the tasks that wait. A failed fsync is final.

        The kernel has marked the pages clean by then, so a second fsync would lie.
        """
        if self.connection.in_transaction:
            try:
                self.connection.execute("ROLLBACK")
            except sqlite3.Error as second:
                fault = second
        told = explained(fault)
        if isinstance(told, JournalFault):
            self.failed = told
        return told


def _concerns_all(error: Exception) -> bool:
    """Whether the disk, the lock or the database itself failed, and not one piece of work."""
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
        code=Code.JOURNAL,
        hint="Make room on the disk of `state_dir`; work goes on by itself then.",
    )
