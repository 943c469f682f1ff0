"""Serves through uvicorn with our socket and our signals, and without wake-ups while idle."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

GRACE = 1  # seconds that answers under way get when the server stops
READ = 1 << 16  # bytes of a request that are taken in at once
HEAD = 60.0  # seconds in which a connection has to send the head of a request


class _Protocol(H11Protocol):
    """h11 reads on after an early answer: closing would reset a client that still sends.

    A connection is closed when no whole request head has come within `head` seconds: nobody else
    would close it, and each is an open file.
    """

    def __init__(self, *given: Any, head: float, **more: Any) -> None:
        super().__init__(*given, **more)
        self._head = head
        self._closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # asyncio reads 256 KiB, which h11 and each step after it keep a copy of: with two hundred
        # uploads at once, a part of each that is large enough to be a server's memory.
        transport.max_size = READ  # type: ignore[attr-defined]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unwatch()

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def _watch(self) -> None:
        """Await a head where one is due; before the next one begins, uvicorn's own time counts."""
        if self.conn.their_state is not h11.IDLE or self.timeout_keep_alive_task is not None:
            self._unwatch()
        elif self._closing is None:
            self._closing = self.loop.call_later(self._head, self.transport.close)

    def _unwatch(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None


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
    *,
    head: float = HEAD,
) -> None:
    """Serve on `listener` until `stop`; `ready` is called once connections are taken.

    `head`: seconds in which a request's head has to come.
    """
    # routing.py prints faults; uvicorn's own errors are noise about clients that we cut off.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        app,
        http=partial(_Protocol, head=head),  # type: ignore[arg-type]
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
