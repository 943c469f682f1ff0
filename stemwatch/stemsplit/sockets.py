"""A network stream for httpcore, straight on a non-blocking socket, plain or TLS.

Stock httpcore moves 64 KiB at a time through three layers of copies; this one moves what the
socket has (measured: 0.36 -> 0.97 of curl's download, 0.40 -> 0.9 of its upload). It also sees
what they can't: an answer that arrives while the request is still being sent.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import httpcore

READ_BYTES = 256 * 1024
FAIR_BYTES = 1024 * 1024  # a socket that never blocks would starve the loop: yield this often
_TLS_RECORD = 16 * 1024
# Bytes that the kernel may take and not have sent: with its usual megabytes, an upload on a slow
# line would seem to be done seconds before it is.
_UNSENT = 256 * 1024

T = TypeVar("T")


class SocketStream(httpcore.AsyncNetworkStream):
    """One connection. `sent` counts the bytes that the socket (or OpenSSL) has taken.

    One task reads or writes at a time, as HTTP/1.1 does.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._early = b""  # what arrived while we were still writing
        self._ended = False
        self._since_yield = 0
        self.sent = 0

    async def read(
        self,
        max_bytes: int,  # noqa: ARG002 - h11 takes any amount
        timeout: float | None = None,
    ) -> bytes:
        """The next bytes, b"" at the end."""
        if self._early:
            early, self._early = self._early, b""
            return early
        if self._ended:
            return b""
        try:
            async with asyncio.timeout(timeout):
                data = await self._when_ready(self._receive, select.POLLIN)
        except TimeoutError as exc:
            raise httpcore.ReadTimeout("no data in time") from exc
        except OSError as exc:
            raise httpcore.ReadError(reason(exc)) from exc
        await self._be_fair(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send everything, unless the peer has answered or hung up: then it is a WriteError.

        httpcore takes a WriteError as "stop sending, read the answer", which spares the rest of a
        100 MB upload and can't deadlock against a server that answers and stops reading.
        """
        view = memoryview(buffer)
        try:
            async with asyncio.timeout(timeout):
                while view:
                    if self.answered():
                        raise httpcore.WriteError("the server answered before the request's end")
                    count = await self._send_some(view)
                    self.sent += count
                    view = view[count:]
                    await self._be_fair(count)
        except TimeoutError as exc:
            raise httpcore.WriteTimeout("the server takes no more data") from exc
        except OSError as exc:
            raise httpcore.WriteError(reason(exc)) from exc

    def answered(self) -> bool:
        """Has the peer sent data or hung up? Never blocks; what came is kept for `read`."""
        if not self._early and not self._ended:
            try:
                self._early = self._receive()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except OSError:
                self._ended = True  # reset: reading again says the same
        return True

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
            async with asyncio.timeout(timeout):
                await self._when_ready(tls.do_handshake, select.POLLIN)
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

    def _receive(self) -> bytes:
        if not isinstance(self._sock, ssl.SSLSocket):
            data = self._sock.recv(READ_BYTES)
        else:
            data = self._receive_records(self._sock)
        self._ended = not data
        return data

    @staticmethod
    def _receive_records(tls: ssl.SSLSocket) -> bytes:
        """Drain several TLS records per wake-up: one at a time costs a loop turn for 16 KiB."""
        records: list[bytes] = []
        size = 0
        try:
            while size < READ_BYTES:
                record = tls.recv(_TLS_RECORD)
                if not record:
                    break
                records.append(record)
                size += len(record)
        except (ssl.SSLZeroReturnError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as exc:
            if not records and not isinstance(exc, ssl.SSLZeroReturnError):
                raise
        except OSError:
            if not records:  # what was received whole is still worth reading
                raise
        return b"".join(records)

    async def _send_some(self, view: memoryview) -> int:
        """Send a part. Wakes for an early answer too, as the peer may never read again."""
        while True:
            try:
                return self._sock.send(view[:FAIR_BYTES])
            except (BlockingIOError, ssl.SSLWantWriteError):
                await self._wait(select.POLLIN | select.POLLOUT)
            except ssl.SSLWantReadError:
                await self._wait(select.POLLIN)
            if self.answered():
                raise httpcore.WriteError("the server answered before the request's end")

    async def _when_ready(self, operation: Callable[[], T], events: int) -> T:
        while True:
            try:
                return operation()
            except ssl.SSLWantWriteError:
                await self._wait(select.POLLOUT)
            except (BlockingIOError, ssl.SSLWantReadError):
                await self._wait(events)

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


async def connect(address: str, port: int) -> SocketStream:
    """Connect to one numeric address; raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return SocketStream(sock)


def reason(exc: OSError) -> str:
    """A system error in words, with nothing of the request in them."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"certificate: {exc.verify_message}"
    return exc.strerror or type(exc).__name__
