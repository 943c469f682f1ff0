"""A small TCP proxy in front of several servers, each connection to the next one that answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence


class Proxy:
    """Listens on loopback while this is open; `port` is where, `served` how many each one got."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = list(ports)
        self.served = dict.fromkeys(ports, 0)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            for _ in self._ports:
                self._ports.append(port := self._ports.pop(0))
                try:
                    there = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    continue
            else:
                return
            self.served[port] += 1
            with contextlib.closing(there[1]):
                ways = [_pass(reader, there[1]), _pass(there[0], writer)]
                done = [asyncio.ensure_future(way) for way in ways]
                try:
                    await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for one in done:
                        one.cancel()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await source.read(65536):
            sink.write(block)
            await sink.drain()
