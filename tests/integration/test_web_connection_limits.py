"""Connections that stay long: an upload may take its time, and nothing keeps the others out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from uvicorn.server import ServerState

from stemwatch.web.connection_limits import MOST, protocol_of
from stemwatch.web.long_requests import STREAMS, STREAMS_OF_ONE, UPLOADS, Full, LongRequests
from tests.support.waiting import undisturbed

PATIENCE = 0.3


class App:
    """`/upload` is set apart while its body comes, `/stream` for as long as it is open."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.slow = 0.0
        self.end = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        connection = scope["state"]["connection"]
        if scope["path"] == "/upload":
            connection.set_apart(stall=PATIENCE)
            await asyncio.sleep(self.slow)
            more = size = 0
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                size += len(message["body"])
                if not (more := message["more_body"]):
                    break
            self.received.append(size)
            assert not more
        if scope["path"] == "/stream":
            connection.set_apart()
        start = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"open", "more_body": True})
            await self.end.wait()
        await send({"type": "http.response.body", "body": b"done"})


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[Callable[[bytes], Any]]:
    """A function that opens a connection and sends so much."""
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol_of(app, state, PATIENCE), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    writers = []

    async def connect(sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        writer.write(sent)
        await writer.drain()
        return reader, writer

    try:
        yield connect
    finally:
        server.close()
        for writer in writers:
            writer.close()
        if state.tasks:
            app.end.set()
            await asyncio.wait(state.tasks, timeout=5)


def head(line: str, *more: str) -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "Host: nas", *more, "", "")).encode()


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return await reader.read(17)


def test_an_upload_takes_as_long_as_bytes_come() -> None:
    """Three times the patience in all, a third of it between two pieces: it arrives whole."""

    async def upload() -> None:
        app = App()
        async with listening(app) as connect:
            reader, writer = await connect(head("PUT /upload", "Content-Length: 10"))
            for _ in range(10):
                await asyncio.sleep(PATIENCE / 3)
                writer.write(b"x")
            assert (await answer(reader)).startswith(b"HTTP/1.1 200")
            assert app.received == [10]

    undisturbed(upload, PATIENCE)


def test_an_upload_that_stalls_is_closed() -> None:
    """Nothing comes any more, and it is we who would wait: for ever."""

    async def upload() -> None:
        async with listening(App()) as connect:
            reader, _ = await connect(head("PUT /upload", "Content-Length: 10") + b"half")
            assert await answer(reader) == b""

    undisturbed(upload, PATIENCE)


def test_an_upload_that_our_disk_keeps_waiting_is_not_closed() -> None:
    """While we read nothing, the client can't send, and its silence says nothing."""

    async def upload() -> None:
        app = App()
        app.slow, size = 3 * PATIENCE, 4_000_000
        async with listening(app) as connect:
            reader, writer = await connect(head("PUT /upload", f"Content-Length: {size}"))
            writer.write(bytes(size))
            await writer.drain()
            assert (await answer(reader)).startswith(b"HTTP/1.1 200")
        assert app.received == [4_000_000]

    undisturbed(upload, PATIENCE)


def test_a_crowd_of_streams_keeps_nobody_out() -> None:
    """With as many open as there may be connections, others are answered as before."""

    async def crowd() -> None:
        app = App()
        async with listening(app) as connect:
            streams = [await connect(head("GET /stream")) for _ in range(MOST)]
            for reader, _ in streams:
                assert await answer(reader)
            await asyncio.sleep(0)
            reader, _ = await connect(head("GET /healthz"))
            assert (await answer(reader)).startswith(b"HTTP/1.1 200")

    undisturbed(crowd, PATIENCE)


def test_a_connection_that_was_set_apart_counts_again_once_it_is_answered() -> None:
    """Kept open for the next request, it owes that one as any other does."""

    async def idle() -> None:
        async with listening(App()) as connect:
            reader, _ = await connect(head("PUT /upload", "Content-Length: 1") + b"x")
            assert await answer(reader)
            async with asyncio.timeout(10 * PATIENCE + 5):
                assert (await reader.read()).endswith(b"done\r\n0\r\n\r\n")

    undisturbed(idle, PATIENCE)


def test_places_are_counted_and_given_back() -> None:
    """So many streams, so many of one address, so many uploads; never more."""
    long_requests = LongRequests()
    with ExitStack() as taken:
        for _ in range(STREAMS_OF_ONE):
            taken.enter_context(long_requests.stream("10.0.0.1"))
        with pytest.raises(Full), long_requests.stream("10.0.0.1"):
            pass
        for number in range(STREAMS - STREAMS_OF_ONE):
            taken.enter_context(long_requests.stream(f"10.0.1.{number}"))
        with pytest.raises(Full), long_requests.stream("10.0.2.1"):
            pass
        for _ in range(UPLOADS):
            taken.enter_context(long_requests.upload())
        with pytest.raises(Full), long_requests.upload():
            pass
    with ExitStack() as taken:
        for _ in range(STREAMS):  # a proxy on this machine: everybody has its address
            taken.enter_context(long_requests.stream("127.0.0.1"))
    with long_requests.upload(), long_requests.stream("10.0.0.1"):
        pass
