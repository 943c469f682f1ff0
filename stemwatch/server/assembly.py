"""Puts the server's parts together, starts them and, at the end, stops them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette

from stemwatch.errors import AlreadyRunning
from stemwatch.server.data_directory import usable
from stemwatch.server.http import answers_a
from stemwatch.server.http.keyholders import Callers
from stemwatch.server.http.links import Links
from stemwatch.server.http.presigned import answers_b
from stemwatch.server.http.presigned.wire_b import UPLOADS
from stemwatch.server.http.quota import Credit
from stemwatch.server.http.ratelimit import RateLimits
from stemwatch.server.http.requests import Service
from stemwatch.server.http.routing import create_app
from stemwatch.server.http.signing import Signer
from stemwatch.server.http.submission import Limits, Submissions
from stemwatch.server.http.tickets import Tickets
from stemwatch.server.offer import Offer
from stemwatch.server.options import Options
from stemwatch.server.secret_file import load_secret
from stemwatch.server.webhooks.hook_calls import Payload
from stemwatch.server.webhooks.outgoing import Callbacks
from stemwatch.server.webhooks.registrations import Registrations
from stemwatch.server.work.attempt import Attempts
from stemwatch.server.work.cleanup import Cleanup
from stemwatch.server.work.job_files import Files
from stemwatch.server.work.json_records import JsonRecords
from stemwatch.server.work.queue import Queue
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
    with usable(options):
        records = await _open(options.data_dir, LEAVING if options.exit_with_stdin else 0.0)
        service, callbacks, queue = _service(options, records, offer, report, broken)
    queue.start()
    callbacks.start()
    cleaning = supervised(service.cleanup.run(), broken)
    try:
        yield create_app(service)
    finally:
        cleaning.cancel()
        await asyncio.gather(queue.stop(), service.submissions.stop())
        await callbacks.stop()  # after the queue, which may still tell of a job's end
        records.close()


def _service(
    options: Options,
    records: JsonRecords,
    offer: Offer,
    report: Callable[[str], None],
    broken: Callable[[BaseException], None],
) -> tuple[Service, Callbacks, Queue]:
    files, now = records.files, time.time
    links, tickets = link_parts(options, files)
    cleanup = Cleanup(
        files, records, options.keep_hours * 3600, options.min_free, report, tickets.remove_old
    )
    registrations, callbacks = _webhooks(options, records, links, report, broken)
    trial = Trial(offer.placed, files, report, offer.extras)
    attempts = Attempts(
        files=files,
        records=records,
        offer=offer,
        trial=trial,
        report=report,
        room=cleanup.wait_for_room,
        owed=callbacks.due,
        tell=callbacks.put,
    )
    queue = Queue(records, attempts, offer=offer, broken=broken)
    limits = Limits(
        offer.seats if options.strict_limit else None, options.min_seconds, options.max_seconds
    )
    service = Service(
        files=files,
        records=records,
        board=queue,
        submissions=Submissions(files, records, offer=offer, limits=limits, trial=trial),
        trial=trial,
        cleanup=cleanup,
        links=links,
        tickets=tickets,
        credit=Credit(records, options.credits),
        rate=RateLimits(options.rate_limit, now),
        webhooks=registrations,
        callers=Callers(options.key, options.keys_file, report, public_url=options.public_url),
        offer=offer,
        busy=lambda: queue.busy,
    )
    return service, callbacks, queue


def _webhooks(
    options: Options,
    records: JsonRecords,
    links: Links,
    report: Callable[[str], None],
    broken: Callable[[BaseException], None],
) -> tuple[Registrations, Callbacks]:
    now, secret = time.time, options.webhook_secret
    path = os.path.join(records.files.root, "webhooks.json")
    registrations = Registrations(path, now=now, secret=secret is not None)
    callbacks = Callbacks(
        records,
        registrations,
        payloads=payloads(links, now),
        secret=secret,
        now=now,
        report=report,
        broken=broken,
    )
    return registrations, callbacks


def link_parts(options: Options, files: Files) -> tuple[Links, Tickets]:
    """What signs URLs: the same for each front end of one data directory."""
    now = time.time
    secret = load_secret(os.path.join(files.root, "secret"))
    links = Links(Signer(secret, root=FILES, ttl=options.url_ttl, now=now), options.public_url)
    upload_signer = Signer(secret, root=UPLOADS, ttl=options.upload_ttl, now=now)
    return links, Tickets(os.path.join(files.root, "uploads"), upload_signer, now=now)


def payloads(links: Links, now: Callable[[], float]) -> dict[str, Payload]:
    return {
        "separate": lambda record: answers_a.payload(record, links),
        "presigned": lambda record: answers_b.payload(record, links, now=now()),
    }


async def _open(data_dir: str, patience: float) -> JsonRecords:
    """Open the records. If it is taken, wait: a killed service's server may be about to leave."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return JsonRecords(Files(data_dir))
        except AlreadyRunning:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)
