"""A stream's patience: for a line that stands still, however slow a moving one is."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import httpcore
import pytest

from stemwatch.stemsplit.line.sockets import FAIR_BYTES, READ_BYTES, SocketStream
from tests.support.certificates import self_signed

STALL = 2.0  # seconds
PIECE = 48 * 32 * 1024  # bytes of one write
PART = 32 * 1024  # taken every 50 ms: a piece takes longer than the patience
BUFFER = 64 * 1024  # of the socket, else the kernel takes it all at once


class _Peer:
    """The other end in a thread of its own; plain, or TLS where there is a certificate."""

    def __init__(self, sock: socket.socket, certificate: tuple[Path, Path] | None) -> None:
        self._sock = sock
        self._certificate = certificate
        self.arrived = 0
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> int:
        self._thread.join()
        return self.arrived

    def close(self) -> None:
        self._sock.close()

    def greet(self) -> None:
        """Its half of the handshake, and not a byte more."""
        if self._certificate is not None:
            serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            serving.load_cert_chain(*self._certificate)
            self._sock = serving.wrap_socket(self._sock, server_side=True)

    def _read(self) -> None:
        while self.arrived < PIECE and (part := self._sock.recv(PART)):
            self.arrived += len(part)
            time.sleep(0.05)


@pytest.fixture(params=["plain", "TLS"])
def certificate(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path] | None:
    if request.param == "plain":
        return None
    try:
        return self_signed(tmp_path, "IP:127.0.0.1")
    except FileNotFoundError:
        pytest.skip("needs openssl")


async def _write(certificate: tuple[Path, Path] | None, *, reads: bool) -> tuple[int, float]:
    """One piece to a peer that reads slowly, or not at all; what arrived and the seconds."""
    near, far = socket.socketpair()
    near.setblocking(False)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    stream, peer = SocketStream(near), _Peer(far, certificate)
    loop = asyncio.get_running_loop()
    greeting = asyncio.create_task(asyncio.to_thread(peer.greet))
    if certificate is not None:
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        stream = await stream.start_tls(trusting, "127.0.0.1")
    await greeting
    if reads:
        peer.start()
    began = loop.time()
    try:
        await stream.write(bytes(PIECE), timeout=STALL)
        took = loop.time() - began
        return await asyncio.to_thread(peer.join), took
    finally:
        await stream.aclose()
        peer.close()


def test_a_slow_line_is_no_stalled_one(certificate: tuple[Path, Path] | None) -> None:
    arrived, took = asyncio.run(_write(certificate, reads=True))
    assert arrived == PIECE
    assert took > STALL, "too quick to tell"


def test_a_stalled_line_is_given_up(certificate: tuple[Path, Path] | None) -> None:
    with pytest.raises(httpcore.WriteTimeout, match="takes no more data"):
        asyncio.run(_write(certificate, reads=False))


def test_only_a_wait_sets_a_timer() -> None:
    """One for each piece and each read of a quick transfer was a tenth of its CPU."""

    async def there_and_back() -> tuple[bytes, int]:
        near, far = socket.socketpair()
        near.setblocking(False)
        loop = asyncio.get_running_loop()
        stream = SocketStream(near)
        try:
            with pytest.MonkeyPatch.context() as patch:
                timers: list[float] = []
                patch.setattr(loop, "call_at", lambda when, *_, **__: timers.append(when))
                for _ in range(4):
                    await stream.write(b"piece", timeout=STALL)
                far.sendall(far.recv(100))
                return await stream.read(100, timeout=STALL), len(timers)
        finally:
            await stream.aclose()
            far.close()

    assert asyncio.run(there_and_back()) == (b"piece" * 4, 0)


class Endless(socket.socket):
    """Takes and gives at once whatever is asked for, as a quick line and a slow loop may seem."""

    def send(self, data: Any, flags: int = 0, /) -> int:  # noqa: ARG002
        return len(data)

    def recv(self, size: int, flags: int = 0, /) -> bytes:  # noqa: ARG002
        return bytes(size)


@pytest.mark.parametrize("way", ["write", "read"])
def test_a_quick_transfer_lets_others_run_once_a_megabyte(way: str) -> None:
    """A socket that never blocks would hold the loop for as long as it lasts."""

    async def turns() -> int:
        near, far = socket.socketpair()
        stream, counted = SocketStream(Endless(fileno=near.detach())), 0

        def count() -> None:
            nonlocal counted
            counted += 1
            loop.call_soon(count)

        loop = asyncio.get_running_loop()
        loop.call_soon(count)
        await asyncio.sleep(0)
        before, moved = counted, 0
        while moved < 8 * FAIR_BYTES:
            if way == "write":
                await stream.write(bytes(READ_BYTES))
                moved += READ_BYTES
            else:
                moved += len(await stream.read(READ_BYTES))
        found = counted - before
        await stream.aclose()
        far.close()
        return found

    assert asyncio.run(turns()) == 8


def test_an_answer_before_the_requests_end_is_not_dripped_for_ever() -> None:
    """A byte now and then kept a seat and the line for as long as the whole upload may take."""

    async def scenario() -> bytes:
        near, far = socket.socketpair()
        near.setblocking(False)
        stream = SocketStream(near, early_answer=0.3)
        begun, over = threading.Event(), threading.Event()

        def drip() -> None:
            far.sendall(b"HTTP/1.1 503 ")
            while not over.wait(0.02):
                far.sendall(b"x")
                begun.set()

        # Before the answer is noticed: from then on the time counts, and a thread may start late.
        dripping = asyncio.create_task(asyncio.to_thread(drip))
        answer = b""
        try:
            assert await asyncio.to_thread(begun.wait, 30)
            with pytest.raises(httpcore.WriteError):
                await stream.write(bytes(PIECE), timeout=10)
            with pytest.raises(httpcore.ReadTimeout):
                while len(answer) < 1000:
                    answer += await stream.read(READ_BYTES, timeout=10)
        finally:
            over.set()
            await dripping
            await stream.aclose()
            far.close()
        return answer

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 503 x")
