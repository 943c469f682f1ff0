"""The scenario server: both wires on loopback, in a thread of the test or as its own process."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.scenario.routes import Routes, Settings
from tests.support.scenario.stems import NAMES, tone
from tests.support.scenario.wire import read_request


class ScenarioServer:
    """A running server; keyword arguments are `routes.Settings`.

    `url` is the base for `api.base_url` on `wire`, `origin` what both wires have in common. `log`
    has one dict for each request, `paid` the ledger. `receive_buffer` in bytes bounds what the
    kernel takes in for a server that does not read (it would grow to tens of MB by itself).
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ledger: Path | None = None,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
        wire: str = "separate",
        **settings: Any,
    ) -> None:
        self.routes = Routes(Settings(**settings), ledger)
        self._host, self._port, self._tls = host, port, tls
        self._receive_buffer = receive_buffer
        self.wire = wire
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event = asyncio.Event()
        self._ready = threading.Event()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._thread = threading.Thread(target=self._run, name="scenario", daemon=True)

    @property
    def origin(self) -> str:
        return self.routes.origin

    @property
    def url(self) -> str:
        return self.routes.origin + ("/api/v1" if self.wire == "presigned" else "/v1")

    @property
    def upload_route(self) -> str:
        """The route in which a song's bytes travel."""
        return "put" if self.wire == "presigned" else "post"

    @property
    def key_route(self) -> str:
        """The route that is asked whether the key is taken."""
        return "balance" if self.wire == "presigned" else "get"

    @property
    def log(self) -> list[dict[str, Any]]:
        return list(self.routes.log)

    @property
    def paid(self) -> dict[str, Any]:
        return self.routes.ledger.paid()

    def requests(self, route: str) -> list[dict[str, Any]]:
        """The log of one route, as `script.ROUTES` names them, or other."""
        return [entry for entry in self.log if entry["route"] == route]

    def scenario(self, **changes: Any) -> None:
        """Steps for `post`, `get`, `download`; plans for `jobs`; any setting by its name."""
        self.routes.change(changes)

    def go_on(self) -> None:
        """Send the answers that wait `until` they are `told`, and hold none from now on."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.routes.told.set)

    def finish(self) -> None:
        """End all jobs accepted so far. Until then a job of `job_seconds=3600` goes on."""
        self.routes.finish()

    def crowd(self, count: int, *, named: bool = True) -> None:
        """So many younger jobs of somebody else's, as wire B lists them; nobody pays for them."""
        self.routes.crowd(count, named)

    def start(self) -> ScenarioServer:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the scenario server did not start")
        return self

    def stop(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
        self.routes.ledger.close()

    def __enter__(self) -> ScenarioServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """Serve until stopped; prints nothing."""
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(
            self._accepted,
            self._host,
            self._port,
            ssl=self._tls,
            limit=self._receive_buffer or 1024 * 1024,
            backlog=1024,
        )
        if self._receive_buffer is not None:  # accepted sockets inherit it
            for listener in server.sockets:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        port = server.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.routes.origin = f"{scheme}://{self.routes.settings.public_host or host}:{port}"
        self._ready.set()
        await self._stop.wait()
        # Stop accepting, let what was accepted become a connection, and only then close: asyncio
        # leaks a socket that is accepted just before its server is closed, and a client would
        # wait on it for ever.
        for listener in server.sockets:
            self._loop.remove_reader(listener.fileno())
        for _ in range(4):
            await asyncio.sleep(0)
        server.close()
        for task, writer in list(self._connections.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(lambda done: self._connections.pop(done))

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await read_request(reader)) is not None:
                if not await self.routes.handle(request, writer):
                    break
        except (OSError, asyncio.CancelledError, asyncio.LimitOverrunError):
            pass  # a client that goes away, or the server's own end, is nothing to report
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except (OSError, asyncio.CancelledError):
                pass


def main() -> None:
    """Print one JSON line with the URLs, then serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path, help="survives a restart")
    parser.add_argument("--settings", type=json.loads, default={}, help="routes.Settings as JSON")
    parser.add_argument("--scenario", type=json.loads, default={}, help="as for POST /_scenario")
    parser.add_argument("--receive-buffer", type=int, help="bytes that the kernel takes in")
    options = parser.parse_args()
    settings: Mapping[str, Any] = options.settings
    server = ScenarioServer(
        host=options.host,
        port=options.port,
        ledger=options.ledger,
        receive_buffer=options.receive_buffer,
        **settings,
    )
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the thread, which inherits it
    with server:
        server.scenario(**options.scenario)
        for name in NAMES["2"]:
            tone(name)  # 50 ms each: made at its first download, it would hold up every answer then
        sys.stdout.write(json.dumps({"url": server.url, "origin": server.origin}) + "\n")
        sys.stdout.flush()
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
