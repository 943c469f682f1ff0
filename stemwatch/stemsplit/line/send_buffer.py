"""Bounds the unsent bytes of an upload in the kernel's send buffer to milliseconds of the line.

With the kernel's usual megabytes, an upload on a slow line would seem done seconds before it is.
On a fast line a small buffer costs a wake-up for every few packets: twice the CPU for each GB.
"""

from __future__ import annotations

import socket
from contextlib import suppress

_LEAST = 256 * 1024  # bytes
_MOST = 4 * 1024 * 1024
_HELD = 0.025  # seconds of the line


class Unsent:
    """The bound of one connection; it grows with the line's speed and never shrinks."""

    def __init__(self, sock: socket.socket) -> None:
        self.bytes = _LEAST
        self._sent = 0
        self._seconds = 0.0
        self._set(sock)

    def sent(self, sock: socket.socket, count: int, seconds: float) -> None:
        """Note that the kernel took `count` bytes in `seconds` (`sock` changes with TLS)."""
        self._sent += count
        self._seconds += seconds
        through = self._sent - self.bytes  # at least so many bytes have left this machine
        if self.bytes < _MOST and through > 2 * self.bytes:
            wanted = _HELD * through / max(self._seconds, 1e-6)
            if wanted > 2 * self.bytes:
                self.bytes = min(_MOST, int(wanted))
                self._set(sock)

    def _set(self, sock: socket.socket) -> None:
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            with suppress(OSError):  # not worth failing an upload
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, self.bytes)
