"""The server's listener and the clients that send nothing, or little, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from stemwatch.server.listen import serve_until
from stemwatch.server.listening_socket import listen
from tests.support.waiting import undisturbed

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connected = Callable[[bytes], Awaitable[Streams]]
PATIENCE = 0.2  # seconds in which a head has to come
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


def served(scenario: Callable[[Connected], Awaitable[None]]) -> None:
    """Run it with a function that connects and sends; a head has to come within `PATIENCE`."""

    async def main() -> None:
        stop, ready = asyncio.Event(), asyncio.Event()
        opened: list[asyncio.StreamWriter] = []
        app = Starlette(routes=[Route("/", _echo, methods=["POST"])])
        with listen("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]

            async def connected(sent: bytes) -> Streams:
                streams = await asyncio.open_connection("127.0.0.1", port)
                opened.append(streams[1])
                streams[1].write(sent)
                return streams

            serving = asyncio.create_task(
                serve_until(app, listener, stop, ready.set, head=PATIENCE)
            )
            try:
                await ready.wait()
                async with asyncio.timeout(20):
                    await scenario(connected)
            finally:
                for writer in opened:
                    writer.close()
                stop.set()
                await serving

    undisturbed(main, PATIENCE)


def test_who_sends_no_request_is_sent_away_and_an_upload_is_not() -> None:
    """A thousand silent connections were kept for good, and ended the server: no file was left."""

    async def scenario(connected: Connected) -> None:
        upload, sending = await connected(HEAD + b"o")
        for begun in (b"", HEAD[:9]):
            silent, _ = await connected(begun)
            assert await silent.read() == b""
        again, asking = await connected(HEAD + b"ok")
        await again.readuntil(b"ok")
        asking.write(HEAD[:9])
        assert await again.read() == b""
        sending.write(b"k")
        assert (await upload.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")

    served(scenario)
