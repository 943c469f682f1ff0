"""The listener's life: it starts with the service, ends after its drain, and never ends it."""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.log import log
from stemwatch.loopback import is_loopback
from stemwatch.web.health import Health
from stemwatch.web.listening import BACKLOG, url_of
from stemwatch.web.receiver import Receiver

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from stemwatch.web.backing import Backing
    from stemwatch.web.page import Page

PATIENCE = 5.0  # seconds for a whole request; callers send theirs at once
GRACE = 2.0  # seconds that answers under way get in the end


@asynccontextmanager
async def serving(
    listener: socket.socket | None,
    health: Health,
    *,
    receive: Receiver | None = None,
    backing: Backing | None = None,
    patience: float = PATIENCE,
) -> AsyncIterator[None]:
    """Answer on `listener` meanwhile; None: do nothing. Never raises anything of its own.

    `receive` None: there is no door for webhooks; `backing` None: no page. `patience`: what
    `connection_limits.Guard` says. Its faults are logged, once each: a service
    without its web page separates just as well.
    """
    if listener is None:
        yield
        return
    server = Server(health, receive, backing, patience)
    try:
        await server.start(listener)
    except Exception as fault:
        log.error("web.failed", hint="The service works on without web.listen.", exc_info=fault)
    try:
        yield
    finally:
        try:
            async with asyncio.timeout(2 * GRACE):
                await server.stop()
        except Exception as fault:
            log.error("web.failed", exc_info=fault)


class Server:
    """The open connections and what answers them."""

    def __init__(
        self,
        health: Health,
        receive: Receiver | None,
        backing: Backing | None,
        patience: float,
    ) -> None:
        self._health = health
        self._receive = receive
        self._backing = backing
        self._page: Page | None = None
        self._patience = patience
        # A connection and a thread of its own: a scrape never keeps the pool's reads waiting.
        self._journal: ReadOnlyJournal | None = None
        self._server: asyncio.Server | None = None
        self._state: ServerState | None = None
        self._told: set[tuple[str, type[Exception]]] = set()

    async def start(self, listener: socket.socket) -> None:
        # Imported here: a service without a listener never pays for them.
        from uvicorn.server import ServerState

        from stemwatch.web.connection_limits import protocol_of
        from stemwatch.web.metrics import Metrics
        from stemwatch.web.routes import create_app

        self._journal = ReadOnlyJournal(self._health.context.journal.path)
        calls: dict[int, int] = {}
        app = create_app(
            self._health,
            Metrics(self._health, self._journal, calls),
            receive=self._receive,
            calls=calls,
            broken=self._broken,
            page=self._show if self._backing is not None else None,
        )
        self._state = ServerState()
        loop = asyncio.get_running_loop()
        protocol = protocol_of(app, self._state, self._patience)
        self._server = await loop.create_server(protocol, sock=listener, backlog=BACKLOG)
        log.info(
            "web.listening",
            url=url_of(listener),
            shown_to="this machine" if is_loopback(listener.getsockname()[0]) else "the network",
        )

    async def _show(self, scope: Any, receive: Any, send: Any) -> None:
        """The page, put together for its first visitor: until then the service is as light as one
        without.
        """
        if self._page is None:
            page = await asyncio.to_thread(importlib.import_module, "stemwatch.web.page")
        if self._page is None:  # two visitors may come at once
            assert self._backing is not None
            assert self._journal is not None
            self._page = page.Page(self._backing, self._journal, self._broken)
        await self._page.app(scope, receive, send)

    async def stop(self) -> None:
        """Take no more; let answers under way finish, for `GRACE` seconds."""
        if self._server is not None:
            self._server.close()
        if self._page is not None:
            self._page.close()  # streams would last for as long as they are let
        if self._state is not None:
            for connection in list(self._state.connections):
                connection.shutdown()
            if self._state.tasks:
                await asyncio.wait(self._state.tasks, timeout=GRACE)
            for connection in list(self._state.connections):
                connection.transport.abort()
            for task in list(self._state.tasks):
                task.cancel()
        if self._journal is not None:
            await asyncio.to_thread(self._journal.close)

    def _broken(self, path: str, fault: Exception) -> None:
        """Once each: whoever can cause it can cause it a thousand times."""
        kind = (path, type(fault))
        if kind not in self._told:
            self._told.add(kind)
            log.error("web.error", path=path, exc_info=fault)
