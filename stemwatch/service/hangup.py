"""Tells the two meanings of SIGHUP apart: our terminal has ended, or a reload is wanted.

The kernel takes a terminal that has ended away from its processes before it signals them, so one
look for the terminal decides. `nohup` and service managers leave no terminal, or ask for SIGHUP to
be ignored: then it only ever means a reload.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

_AGAIN = 1.0  # seconds; some terminal programs tell the shell first, and end the terminal then


def has_terminal() -> bool:
    """Whether this process is on a terminal, wherever its standard streams lead."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:  # ENXIO: none, or none any more
        return False
    return True


class Hangup:
    """Decides at each signal. Make it before SIGHUP has a handler, for it looks for `nohup`."""

    def __init__(self, *, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        self._stop = stop
        self._reload = reload
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._ends_with_terminal = has_terminal() and not ignored

    def signalled(self) -> None:
        """SIGHUP came (called on the loop)."""
        if self._stop_with_terminal():
            return
        self._reload()
        if self._ends_with_terminal:
            asyncio.get_running_loop().call_later(_AGAIN, self._stop_with_terminal)

    def _stop_with_terminal(self) -> bool:
        ended = self._ends_with_terminal and not has_terminal()
        if ended:
            self._stop()
        return ended
