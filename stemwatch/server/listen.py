"""Serves through uvicorn with our socket and our signals, and without wake-ups while idle."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

GRACE = 1  # seconds that answers under way get when the server stops
READ = 1 << 16  # bytes of a request that are taken in at once


class _Protocol(H11Protocol):
    """h11 reads on after an early answer: closing would reset a client that still sends."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # asyncio reads 256 KiB, which h11 and each step after it keep a copy of: with two hundred
        # uploads at once, a part of each that is large enough to be a server's memory.
        transport.max_size = READ  # type: ignore[attr-defined]
        super().connection_made(transport)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, stop: asyncio.Event, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._stop = stop
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # main.py handles signals; uvicorn would raise them again and spoil exit code 0

    async def main_loop(self) -> None:
        """Wait, where uvicorn wakes ten times a second: an idle NAS may sleep."""
        self._ready()
        await self._stop.wait()


async def serve_until(
    app: Starlette,
    listener: socket.socket,
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> None:
    """Serve on `listener` until `stop`; `ready` is called once connections are taken."""
    # routing.py prints faults; uvicorn's own errors are noise about clients that we cut off.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,  # no access log: signed URLs would stand in it
        access_log=False,
        date_header=False,  # uvicorn makes it in the tick that we don't have
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE,
    )
    await _Server(config, stop, ready).serve(sockets=[listener])
