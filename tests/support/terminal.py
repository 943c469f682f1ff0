"""A pseudo terminal of a given size, for a command that draws."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.waiting import wait_for


class Terminal:
    """`slave` is what a process is given; `seen` is what it has drawn so far."""

    def __init__(self, columns: int, rows: int) -> None:
        try:
            self.master, self.slave = pty.openpty()
        except OSError as fault:
            pytest.skip(f"no pseudo terminals here: {fault}")
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)
        os.set_blocking(self.master, False)
        self._bytes = bytearray()

    @property
    def seen(self) -> str:
        """All of it, escapes too; lines end with a newline alone."""
        while part := self._part():
            self._bytes += part
        return self._bytes.decode(errors="replace").replace("\r\n", "\n")

    def _part(self) -> bytes:
        try:
            return os.read(self.master, 65536)
        except OSError:  # nothing now, or (EIO) nobody has it open any more
            return b""

    def wait_for(self, *words: str) -> str:
        """What is seen once all these words were drawn."""
        try:
            wait_for(lambda: all(word in self.seen for word in words))
        except AssertionError as fault:
            raise AssertionError(f"{words} in {self.seen}") from fault
        return self.seen


@contextmanager
def terminal(columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    """Closed at the end; the test closes nothing."""
    found = Terminal(columns, rows)
    try:
        yield found
    finally:
        os.close(found.slave)
        os.close(found.master)
