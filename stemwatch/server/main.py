"""Runs the separation server: listens, serves, and stops by a signal or with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING

from stemwatch.codes import Code
from stemwatch.errors import ConfigFault, StemwatchError
from stemwatch.extras import LOCAL
from stemwatch.loopback import is_loopback
from stemwatch.server.listening_socket import base_url, listen, urls_elsewhere
from stemwatch.server.offer import Offer
from stemwatch.server.options import Options
from stemwatch.server.starting import prepare
from stemwatch.server.stop_signals import stop_on_signals

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from starlette.applications import Starlette

OPEN_TO_ALL = (
    "warning: {} can be reached by others and no key is set: anybody may separate songs here. "
    "Set --key-file or $STEMWATCH_SERVE_KEY, or serve on 127.0.0.1."
)


def run(options: Options) -> int:
    """Serve until SIGTERM, SIGINT or (`exit_with_stdin`) the end of standard input; exit code 0.

    Prints one line to standard output once it listens:
    `stemwatch serve: http://127.0.0.1:8700/v1 engine spectral jobs 1`, of a neural engine also its
    device and threads; the presigned wire answers at `/api/v1` of the same address. If it listens
    on every address (0.0.0.0), another line gives the URLs for other machines.
    Raises ConfigFault (extra or model missing, unknown engine or device), AlreadyRunning (data_dir
    taken) and StemwatchError `listen` (address taken; exit code 1).
    """
    LOCAL.require()
    if options.key is not None and options.keys_file is not None:
        raise ConfigFault(
            "$STEMWATCH_SERVE_KEY and --keys-file are both given.",
            hint="Unset the variable: its key would open nothing.",
        )
    offer = None if options.queue_url is not None else asyncio.run(prepare(options, _say))
    with listen(options.host, options.port) as listener:
        if options.key is None and options.keys_file is None and not is_loopback(options.host):
            _say(OPEN_TO_ALL.format(options.host))
        return asyncio.run(_serve(options, offer, listener))


async def _serve(options: Options, offer: Offer | None, listener: socket.socket) -> int:
    from stemwatch.server.listen import serve_until

    stop = asyncio.Event()
    broken: list[BaseException] = []

    def give_up(fault: BaseException) -> None:
        broken.append(fault)
        stop.set()

    stop_on_signals(stop)
    if options.exit_with_stdin:
        _stop_with_stdin(stop)
    line = "front end of a cluster" if offer is None else offer.line()
    ready = [f"stemwatch serve: {base_url(listener)} {line}"]
    if elsewhere := urls_elsewhere(listener):
        ready.append(f"stemwatch serve: from other machines: {' or '.join(elsewhere)}")
    async with _whole(options, offer, give_up) as app:
        await serve_until(app, listener, stop, lambda: print(*ready, sep="\n", flush=True))
    if broken:
        raise StemwatchError(f"The separation server failed: {broken[0]!r}", code=Code.SERVER)
    return 0


def _whole(
    options: Options, offer: Offer | None, broken: Callable[[BaseException], None]
) -> AbstractAsyncContextManager[Starlette]:
    """The application with its engine; without one, as a front end of the cluster."""
    if offer is None:
        from stemwatch.server.cluster import front_end

        return front_end.application(options, report=_say, broken=broken)
    from stemwatch.server.assembly import application

    return application(options, offer, report=_say, broken=broken)


def _stop_with_stdin(stop: asyncio.Event) -> None:
    """End with the parent, however it dies: its death closes our standard input."""
    loop = asyncio.get_running_loop()

    def watch() -> None:
        with contextlib.suppress(OSError):  # the terminal has ended, and so has the parent
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, daemon=True).start()


def _say(line: str) -> None:
    print(f"stemwatch serve: {line}", file=sys.stderr, flush=True)
