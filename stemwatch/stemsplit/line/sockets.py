"""A network stream for httpcore, straight on a non-blocking socket, plain or TLS.

Stock httpcore moves 64 KiB at a time through three layers of copies; this one moves what the
socket has, and can hand out a body that bypasses h11 (`body_follows`). It also notices an answer
that arrives while the request is still being sent, which httpcore can't.
"""

from __future__ import annotations

import asyncio
import re
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import httpcore

from stemwatch.stemsplit.line import tls_records
from stemwatch.stemsplit.line.send_buffer import Unsent

READ_BYTES = 256 * 1024
FAIR_BYTES = 1024 * 1024  # a socket that never blocks would starve the loop: yield this often
# OpenSSL takes a part whole or not at all, and until then a slow line looks like a stalled one.
# So parts grow only while each of them is taken at once.
_TLS_PART = 64 * 1024
_NO_TIME = 0.1  # seconds
EARLY_ANSWER = 30.0  # seconds, as for a whole small call
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_HEAD_END = re.compile(rb"\n\r?\n")  # as h11 finds it

T = TypeVar("T")


class SocketStream(httpcore.AsyncNetworkStream):
    """One connection. `sent` counts the bytes that the socket (or OpenSSL) has taken.

    One task reads or writes at a time, as HTTP/1.1 does. An answer that comes before the request's
    end has `early_answer` seconds for all of it: whoever drips it would hold up the next upload.
    """

    def __init__(self, sock: socket.socket, early_answer: float = EARLY_ANSWER) -> None:
        self._sock = sock
        self._early = b""  # what arrived while we were still writing, or behind a head
        self._ended = False
        self._early_answer = early_answer
        self._answer_by: float | None = None  # the loop's time
        self._head_begins = False
        self._incoming = select.poll()
        self._incoming.register(sock, select.POLLIN)
        self.body_follows = False  # only whole heads were read: h11 has no byte of the body
        self._since_yield = 0
        self._part = FAIR_BYTES  # what is given to the socket at a time
        self._unsent = Unsent(sock)
        self.sent = 0

    async def read(
        self,
        max_bytes: int,  # noqa: ARG002 - h11 takes any amount
        timeout: float | None = None,
    ) -> bytes:
        """Return the next bytes, b"" at the end. An answer's head comes alone, before its body."""
        data = await self._next(READ_BYTES, timeout)
        if self._head_begins:
            end = _HEAD_END.search(data)
            self.body_follows = end is not None
            if end is not None:
                data, self._early = data[: end.end()], data[end.end() :]
            # After a "100 Continue" comes the real one.
            self._head_begins = end is not None and data[8:10] == b" 1"
        else:
            self.body_follows = False
        return data

    async def read_body(self, left: int, timeout: float | None = None) -> bytes:
        """Return up to `left` bytes of a body that bypasses h11; b"" at the end.

        Only where `body_follows` is true.
        """
        if len(self._early) > left:
            data, self._early = self._early[:left], self._early[left:]
            return data
        return await self._next(min(left, READ_BYTES), timeout)

    async def _next(self, most: int, timeout: float | None) -> bytes:
        if self._early:
            early, self._early = self._early, b""
            return early
        if self._ended:
            return b""
        try:
            left = self._left(timeout)
            data = await self._when_ready(lambda: self._receive(most), select.POLLIN, left)
        except TimeoutError as exc:
            raise httpcore.ReadTimeout("no data in time") from exc
        except OSError as exc:
            raise httpcore.ReadError(reason(exc)) from exc
        await self._be_fair(len(data))
        return data

    def _left(self, timeout: float | None) -> float | None:
        """Seconds for the next bytes; TimeoutError where an early answer has had its time."""
        if self._answer_by is None:
            return timeout
        left = self._answer_by - asyncio.get_running_loop().time()
        if left <= 0.0:
            raise TimeoutError
        return left if timeout is None else min(left, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send everything, unless the peer has answered or hung up: then it is a WriteError.

        httpcore takes a WriteError as "stop sending, read the answer", which spares the rest of a
        100 MB upload and can't deadlock against a server that answers and stops reading.
        `timeout` is for each part that the socket takes: a slow line is not a stalled one.
        """
        view = memoryview(buffer)
        self._head_begins = True
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            while view:
                count = await self._send_some(view, clock, timeout)
                self.sent += count
                view = view[count:]
                await self._be_fair(count)
            self._unsent.sent(self._sock, len(buffer), clock() - began)
        except TimeoutError as exc:
            raise httpcore.WriteTimeout("the server takes no more data") from exc
        except OSError as exc:
            self._expect_answer()  # httpcore reads on, and no other clock runs during a body
            raise httpcore.WriteError(reason(exc)) from exc

    def answered(self) -> bool:
        """Whether the peer has sent data or hung up. Never blocks; the data is kept for `read`."""
        if not self._early and not self._ended:
            if not self._incoming.poll(0) and not self._pending():
                return False  # asking first is cheaper than an exception for each piece sent
            try:
                self._early = self._receive(READ_BYTES)
                self._expect_answer()
            except _WOULD_BLOCK:
                return False
            except OSError:
                self._ended = True  # reset: reading again says the same
        return True

    def _expect_answer(self) -> None:
        if self._answer_by is None:
            self._answer_by = asyncio.get_running_loop().time() + self._early_answer

    async def until_answered(self) -> None:
        """Return once the peer has sent data or hung up. Nothing may be written meanwhile."""
        while not self.answered():
            await self._wait(select.POLLIN)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> SocketStream:
        try:
            self._sock = tls = ssl_context.wrap_socket(
                self._sock, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self._part = _TLS_PART
            await self._when_ready(tls.do_handshake, select.POLLIN, timeout)
        except TimeoutError as exc:
            await self.aclose()
            raise httpcore.ConnectTimeout("TLS handshake took too long") from exc
        except OSError as exc:
            await self.aclose()
            raise httpcore.ConnectError(reason(exc)) from exc
        except BaseException:
            await self.aclose()
            raise
        return self

    async def aclose(self) -> None:
        self._ended = True
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # httpcore: an idle connection that is readable was closed
            return self._ended or self.answered()
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        if info == "socket":
            return self._sock
        if info == "server_addr":
            return self._sock.getpeername()
        return None

    def _pending(self) -> bool:
        """Whether OpenSSL holds bytes that it took from the socket and that were not read yet."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def _receive(self, most: int) -> bytes:
        if not isinstance(self._sock, ssl.SSLSocket):
            data = self._sock.recv(most)
        else:
            data = tls_records.receive(self._sock, most)
        self._ended = not data
        return data

    async def _send_some(
        self, view: memoryview, clock: Callable[[], float], timeout: float | None
    ) -> int:
        """Send a part. Wakes for an early answer too, as the peer may never read again."""
        part = view[: self._part]  # the same bytes at each try: OpenSSL requires that

        def send() -> int:
            if self.answered():
                raise httpcore.WriteError("the server answered before the request's end")
            return self._sock.send(part)

        began = clock()
        count = await self._when_ready(send, select.POLLIN | select.POLLOUT, timeout)
        quick = clock() - began < _NO_TIME
        self._part = min(2 * self._part, FAIR_BYTES) if quick else _TLS_PART
        return count

    async def _when_ready(
        self, operation: Callable[[], T], events: int, timeout: float | None
    ) -> T:
        """Run `operation` now or once the socket is ready; returns its result.

        Raises TimeoutError after `timeout` seconds of waiting. A timer is set only to wait: one
        for each piece of a quick transfer is a tenth of its CPU.
        """
        try:
            return operation()
        except _WOULD_BLOCK as exc:
            wanted = _wanted(exc, events)
        async with asyncio.timeout(timeout):
            while True:
                await self._wait(wanted)
                try:
                    return operation()
                except _WOULD_BLOCK as exc:
                    wanted = _wanted(exc, events)

    async def _wait(self, events: int) -> None:
        self._since_yield = 0
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        descriptor = self._sock.fileno()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        if events & select.POLLIN:
            loop.add_reader(descriptor, wake)
        if events & select.POLLOUT:
            loop.add_writer(descriptor, wake)
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)

    async def _be_fair(self, count: int) -> None:
        self._since_yield += count
        if self._since_yield >= FAIR_BYTES:
            self._since_yield = 0
            await asyncio.sleep(0)


def _wanted(exc: OSError, events: int) -> int:
    """What to wait for: `events`, unless OpenSSL must read to send, or send to read."""
    if isinstance(exc, ssl.SSLWantReadError):
        return select.POLLIN
    if isinstance(exc, ssl.SSLWantWriteError) and not events & select.POLLOUT:
        return select.POLLOUT
    return events


def reason(exc: OSError) -> str:
    """A system error in words, with nothing of the request in them."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"certificate: {exc.verify_message}"
    return exc.strerror or type(exc).__name__
