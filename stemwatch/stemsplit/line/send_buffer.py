"""How much of an upload the kernel may hold unsent: some milliseconds of the line, not megabytes.

With the kernel's usual megabytes an upload on a slow line would seem to be done seconds before it
is. On a quick one little costs a wake-up for every few packets: twice the CPU of a GB.
"""

from __future__ import annotations

import socket
from contextlib import suppress

_LEAST = 256 * 1024  # bytes
_MOST = 4 * 1024 * 1024
_HELD = 0.025  # seconds of the line


class Unsent:
    """The bound of one connection; it follows the line's speed upwards."""

    def __init__(self, sock: socket.socket) -> None:
        self.bytes = _LEAST
        self._sent = 0
        self._seconds = 0.0
        self._set(sock)

    def sent(self, sock: socket.socket, count: int, seconds: float) -> None:
        """The kernel took `count` bytes within so many seconds (`sock` changes with TLS)."""
        self._sent += count
        self._seconds += seconds
        through = self._sent - self.bytes  # at least so much is out of the house
        if self.bytes < _MOST and through > 2 * self.bytes:
            wanted = _HELD * through / max(self._seconds, 1e-6)
            if wanted > 2 * self.bytes:
                self.bytes = min(_MOST, int(wanted))
                self._set(sock)

    def _set(self, sock: socket.socket) -> None:
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            with suppress(OSError):  # worth no upload
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, self.bytes)
