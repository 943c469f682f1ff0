"""The separation server as a whole: put together, started, stopped by signals or by its parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemwatch.errors import AlreadyRunning, ConfigFault, StemwatchError
from stemwatch.local.address import base_url, is_loopback, listen
from stemwatch.local.engines import locate
from stemwatch.local.extra import require_extra

if TYPE_CHECKING:
    import socket

    from starlette.applications import Starlette

    from stemwatch.local.store import Store

DAY = 24.0
MIN_FREE = 500_000_000  # bytes left alone on the disk
LEAVING = 4.0  # seconds that a server takes to end once its parent has died
OPEN_TO_ALL = (
    "warning: {} can be reached by others and no key is set: anybody may separate songs here. "
    "Set $STEMWATCH_SERVE_KEY, or serve on 127.0.0.1."
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for; `run` says what each means."""

    data_dir: str
    host: str
    engine: str
    jobs: int | None
    key: str | None
    strict_limit: bool
    keep_hours: float
    url_ttl: float
    public_url: str | None
    min_free: int
    exit_with_stdin: bool


def run(
    host: str,
    port: int,
    *,
    data_dir: str,
    engine: str = "spectral",
    jobs: int | None = None,
    key: str | None = None,
    strict_limit: bool = False,
    keep_hours: float = DAY,
    url_ttl: float = 3600.0,
    public_url: str | None = None,
    min_free: int = MIN_FREE,
    exit_with_stdin: bool = False,
) -> int:
    """Serve until SIGTERM, SIGINT or (`exit_with_stdin`) the end of standard input; exit code 0.

    Prints one line to standard output once it listens:
    `stemwatch serve: http://127.0.0.1:8700/v1 engine spectral jobs 1`. `port` 0 takes a free one;
    `jobs` None is one less than the cores; `url_ttl` in seconds; `public_url` is the base of stem
    URLs where the Host header is not it; `min_free` in bytes. Data in `data_dir`, results kept for
    `keep_hours`.
    Raises ConfigFault (extra missing, unknown engine), AlreadyRunning (data_dir taken) and
    StemwatchError `listen` (address taken; exit code 1).
    """
    settings = Settings(
        data_dir=data_dir,
        host=host,
        engine=engine,
        jobs=jobs,
        key=key,
        strict_limit=strict_limit,
        keep_hours=keep_hours,
        url_ttl=url_ttl,
        public_url=public_url,
        min_free=min_free,
        exit_with_stdin=exit_with_stdin,
    )
    require_extra()
    place = locate(engine)
    if jobs is not None and jobs < 1:
        raise ConfigFault(f"--jobs must be at least 1, not {jobs}.")
    with listen(host, port) as listener:
        if key is None and not is_loopback(host):
            _say(OPEN_TO_ALL.format(host))
        return asyncio.run(_serve(settings, place, listener))


async def _serve(settings: Settings, place: str, listener: socket.socket) -> int:
    from stemwatch.local.listen import serve_until

    stop = asyncio.Event()
    broken: list[BaseException] = []

    def give_up(fault: BaseException) -> None:
        broken.append(fault)
        stop.set()

    _stop_on_signals(stop)
    if settings.exit_with_stdin:
        _stop_with_stdin(stop)
    seats = settings.jobs or max(1, (os.cpu_count() or 2) - 1)
    ready = f"stemwatch serve: {base_url(listener)} engine {settings.engine} jobs {seats}"
    async with _application(settings, place, seats, give_up) as app:
        await serve_until(app, listener, stop, lambda: print(ready, flush=True))
    if broken:
        raise StemwatchError(f"The separation server failed: {broken[0]!r}", code="server")
    return 0


@contextlib.asynccontextmanager
async def _application(
    settings: Settings, place: str, seats: int, broken: Callable[[BaseException], None]
) -> AsyncIterator[Starlette]:
    """Everything behind the HTTP face, started and, at the end, stopped."""
    from stemwatch.local.cleanup import Cleanup
    from stemwatch.local.queue import Queue, watch
    from stemwatch.local.server import Service, create_app
    from stemwatch.local.signing import Signer, load_secret
    from stemwatch.local.store import Store
    from stemwatch.local.submit import Submissions

    try:
        patience = LEAVING if settings.exit_with_stdin else 0.0
        store = await _open(Store, settings.data_dir, patience)
        secret = load_secret(os.path.join(store.root, "secret"))
    except OSError as fault:
        raise ConfigFault(
            f"The data directory {settings.data_dir!r} can't be used by uid {os.getuid()}: "
            f"{fault.strerror}.",
            hint="Give a directory that this user may write with --data-dir.",
        ) from fault
    cleanup = Cleanup(store, settings.keep_hours * 3600, settings.min_free, _say)
    queue = Queue(
        store, place=place, seats=seats, room=cleanup.wait_for_room, report=_say, broken=broken
    )
    submissions = Submissions(
        store, engine=settings.engine, cap=seats if settings.strict_limit else None
    )
    signer = Signer(secret, ttl=settings.url_ttl, now=time.time)
    queue.start()
    cleaning = asyncio.create_task(cleanup.run())
    watch(cleaning, broken)
    try:
        yield create_app(
            Service(
                store, queue, submissions, cleanup, signer,
                settings.engine, settings.key, settings.public_url,
            )
        )  # fmt: skip
    finally:
        cleaning.cancel()
        await asyncio.gather(queue.stop(), submissions.stop())
        store.close()


async def _open(store: type[Store], data_dir: str, patience: float) -> Store:
    """Wait a little where the folder is taken: a killed service's server is just leaving."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return store(data_dir)
        except AlreadyRunning:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)


def _stop_on_signals(stop: asyncio.Event) -> None:
    """The first asks, the second insists."""
    loop = asyncio.get_running_loop()

    def ask(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)  # the workers see the end of their standard input
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number)


def _stop_with_stdin(stop: asyncio.Event) -> None:
    """End with the parent, however it dies: then the other end of our standard input closes."""
    loop = asyncio.get_running_loop()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, daemon=True).start()


def _say(line: str) -> None:
    print(f"stemwatch serve: {line}", file=sys.stderr, flush=True)
