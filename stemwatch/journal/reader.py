"""The journal's reading thread, beside the writer: a query never waits for an fsync."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from stemwatch.journal.threads import Answer, ConnectionThread, Work
from stemwatch.journal.writer import explained


class Reader(ConnectionThread):
    """Runs each read by itself; `explained` turns the database's errors into faults."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection, "journal-read")

    def _do(self, group: Sequence[Work]) -> list[Answer]:
        return [self._one(work) for work in group]

    def _one(self, work: Work) -> Answer:
        try:
            return work(self.connection), None
        except sqlite3.Error as fault:
            told = explained(fault)
            told.__cause__ = fault
            return None, told
        except Exception as fault:
            return None, fault
