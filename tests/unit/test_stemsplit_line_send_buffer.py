"""What the kernel may hold unsent follows the line's speed: little on a slow one, upwards only."""

from __future__ import annotations

import socket

import pytest

from stemwatch.stemsplit.line.send_buffer import Unsent
from stemwatch.stemsplit.line.source import CHUNK

MB = 1_000_000
PIECE = CHUNK


@pytest.mark.parametrize(
    ("line", "bytes_held"),
    [(1 * MB, 256 * 1024), (10 * MB, 256 * 1024), (100 * MB, 2_500_000), (1000 * MB, 4 << 20)],
)
def test_it_is_25_ms_of_the_line_between_its_bounds(line: int, bytes_held: int) -> None:
    """A 100 MB upload whose first bytes vanish into the kernel's buffer in no time."""
    with socket.socket() as sock:
        unsent = Unsent(sock)
        asked = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        assert asked == unsent.bytes == 256 * 1024
        for _ in range(200):
            in_buffer = min(PIECE, max(0, unsent.bytes - unsent._sent))
            unsent.sent(sock, PIECE, (PIECE - in_buffer) / line)
        assert unsent.bytes == pytest.approx(bytes_held, rel=0.2)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == unsent.bytes


def test_a_socket_without_such_a_bound_is_used_as_it_is() -> None:
    one, two = socket.socketpair()
    with one, two:
        Unsent(one).sent(one, 100 * MB, 0.01)
