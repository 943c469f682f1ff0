"""uvicorn's HTTP/1.1, with what it lacks: no connection waits for long, none keeps others out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MOST = 64  # connections at once, without those that are set apart
STALL = 30.0  # seconds without a byte that an upload may take


class Guard(H11Protocol):
    """One connection. `patience`: seconds from when a request may begin until it is whole.

    One that still owes (a part of) a request may be closed at any time. The application finds its
    own as `scope["state"]["connection"]`.
    """

    def __init__(self, config: uvicorn.Config, state: ServerState, patience: float) -> None:
        super().__init__(config, state, {"connection": self})
        self.since = 0.0  # when the request that is owed may have begun; the loop's seconds
        self._patience = patience
        self._deadline: asyncio.TimerHandle | None = None
        self._apart = False
        self._stall: float | None = None

    @property
    def is_gone(self) -> bool:
        """Whether nobody reads what is sent any more; uvicorn would let it be sent to its end."""
        return self.transport.is_closing()

    def set_apart(self, *, stall: float | None = None) -> None:
        """Until this request is answered it takes no place of the others: its caller counts it.

        `stall`: its body may take its time, but never so many seconds without a byte.
        """
        self._apart, self._stall = True, stall
        self._expect()

    @property
    def owes(self) -> bool:
        """Whether the client has to send before anything can happen."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()
        others = [
            other
            for other in self.connections
            if isinstance(other, Guard) and not other._apart and not other.transport.is_closing()
        ]
        if len(others) > MOST:
            # A caller sends at once: whoever has waited longest is idle, slow, or means harm.
            idle = [other for other in others if other.owes]
            min(idle, key=lambda other: other.since).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._stall is not None:
            self._expect()
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._apart, self._stall = False, None
        self._expect()  # first: a request that was sent ahead begins in here
        super().on_response_complete()

    def _expect(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self.since = self.loop.time()
        patience = self._patience if self._stall is None else self._stall
        self._deadline = self.loop.call_later(patience, self._late)

    def _late(self) -> None:
        if self.owes and not self.flow.read_paused:  # paused: it is our disk that is slow
            self.transport.abort()
        else:  # it is we who owe: a first look through years of history takes its time
            self._expect()


def protocol_of(app: Starlette, state: ServerState, patience: float) -> Callable[[], Guard]:
    """A factory of connections that `app` answers; `state` knows those that are open."""
    config = uvicorn.Config(
        app,
        http=Guard,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    config.load()
    # What it has to say is about clients that send rubbish; our own faults are told by `routes`.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    return lambda: Guard(config, state, patience)
