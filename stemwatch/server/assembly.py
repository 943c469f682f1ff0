"""Puts the server's parts together, starts them and, at the end, stops them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette

from stemwatch.errors import AlreadyRunning, ConfigFault
from stemwatch.server.http import answers_a
from stemwatch.server.http.links import Links
from stemwatch.server.http.presigned import answers_b
from stemwatch.server.http.presigned.wire_b import UPLOADS
from stemwatch.server.http.quota import Credit
from stemwatch.server.http.ratelimit import RateLimit
from stemwatch.server.http.requests import Service
from stemwatch.server.http.routing import create_app
from stemwatch.server.http.signing import Signer, load_secret
from stemwatch.server.http.submission import Limits, Submissions
from stemwatch.server.http.tickets import Tickets
from stemwatch.server.offer import Offer
from stemwatch.server.options import Options
from stemwatch.server.webhooks.outgoing import Callbacks, Payload
from stemwatch.server.webhooks.registrations import Registrations
from stemwatch.server.work.cleanup import Cleanup
from stemwatch.server.work.queue import Queue
from stemwatch.server.work.store import Store
from stemwatch.server.work.trial import Trial
from stemwatch.tasks import supervised

LEAVING = 4.0  # seconds that a server takes to end once its parent has died
FILES = "/v1/files"  # where stem URLs point


@contextlib.asynccontextmanager
async def application(
    options: Options,
    offer: Offer,
    *,
    report: Callable[[str], None],
    broken: Callable[[BaseException], None],
) -> AsyncIterator[Starlette]:
    """The running server's application, while this is open.

    `report` gets a line for the log; `broken` gets a fault that must end the server.

    Raises ConfigFault when the data directory can't be used, AlreadyRunning when it is taken.
    """
    try:
        store = await _open(options.data_dir, LEAVING if options.exit_with_stdin else 0.0)
        service = _service(options, store, offer, report, broken)
    except OSError as fault:
        raise ConfigFault(
            f"The data directory {options.data_dir!r} can't be used by uid {os.getuid()}: "
            f"{fault.strerror}.",
            # A parent that ends the server with its standard input has chosen the directory:
            # `--data-dir` is no option of `run --local` and `split --local`.
            hint="Make it writable, or name another state_dir in the configuration."
            if options.exit_with_stdin
            else "Give a directory that this user may write with --data-dir.",
        ) from fault
    service.queue.start()
    service.callbacks.start()
    cleaning = supervised(service.cleanup.run(), broken)
    try:
        yield create_app(service)
    finally:
        cleaning.cancel()
        await asyncio.gather(service.queue.stop(), service.submissions.stop())
        await service.callbacks.stop()  # after the queue, which may still tell of a job's end
        store.close()


def _service(
    options: Options,
    store: Store,
    offer: Offer,
    report: Callable[[str], None],
    broken: Callable[[BaseException], None],
) -> Service:
    now = time.time
    secret = load_secret(os.path.join(store.root, "secret"))
    links = Links(Signer(secret, root=FILES, ttl=options.url_ttl, now=now), options.public_url)
    upload_signer = Signer(secret, root=UPLOADS, ttl=options.upload_ttl, now=now)
    tickets = Tickets(os.path.join(store.root, "uploads"), upload_signer, now=now)
    cleanup = Cleanup(
        store, options.keep_hours * 3600, options.min_free, report, tickets.remove_old
    )
    registrations = Registrations(os.path.join(store.root, "webhooks.json"), now=now)
    callbacks = Callbacks(
        store,
        registrations,
        payloads=_payloads(links, now),
        secret=options.webhook_secret,
        now=now,
        report=report,
        broken=broken,
    )
    credit = Credit(store, options.credits)
    trial = Trial(offer, store, report)
    return Service(
        store=store,
        queue=Queue(
            store,
            offer=offer,
            trial=trial,
            room=cleanup.wait_for_room,
            callbacks=callbacks,
            report=report,
            broken=broken,
        ),
        submissions=Submissions(
            store,
            offer=offer,
            limits=Limits(
                offer.seats if options.strict_limit else None,
                options.min_seconds,
                options.max_seconds,
            ),
            credit=credit,
            trial=trial,
        ),
        trial=trial,
        cleanup=cleanup,
        links=links,
        tickets=tickets,
        credit=credit,
        rate=RateLimit(options.rate_limit, now),
        registrations=registrations,
        callbacks=callbacks,
        offer=offer,
        key=options.key,
    )


def _payloads(links: Links, now: Callable[[], float]) -> dict[str, Payload]:
    return {
        "separate": lambda record: answers_a.payload(record, links),
        "presigned": lambda record: answers_b.payload(record, links, now=now()),
    }


async def _open(data_dir: str, patience: float) -> Store:
    """Open the store. If it is taken, wait: a killed service's server may be about to leave."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return Store(data_dir)
        except AlreadyRunning:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)
