"""A front end of the cluster: both wires and the webhooks, without an engine."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette

from stemwatch.codes import Code
from stemwatch.errors import StemwatchError
from stemwatch.server.assembly import link_parts, payloads
from stemwatch.server.cluster.database import Database
from stemwatch.server.cluster.pg_board import PgBoard
from stemwatch.server.cluster.pg_records import PgRecords, orphans
from stemwatch.server.cluster.pg_webhooks import PgSubscriptions, Teller
from stemwatch.server.cluster.shared_folder import open_files, same_folder
from stemwatch.server.cluster.tickets_of_jobs import Tickets
from stemwatch.server.data_directory import usable
from stemwatch.server.http.keyholders import Callers
from stemwatch.server.http.quota import Credit
from stemwatch.server.http.ratelimit import RateLimits
from stemwatch.server.http.requests import Service
from stemwatch.server.http.routing import create_app
from stemwatch.server.http.submission import Limits, Submissions
from stemwatch.server.options import Options
from stemwatch.server.work.cleanup import EVERY, Cleanup
from stemwatch.server.work.job_files import JOB_ID, Files
from stemwatch.server.work.records import Unavailable
from stemwatch.server.work.trial import Trial
from stemwatch.tasks import supervised

LEFT = 3600.0  # seconds after which a folder that nobody knows is a dead front end's
CLEANING = 0x57E3_C1EA  # the lock of the one who cleans


@contextlib.asynccontextmanager
async def application(
    options: Options,
    *,
    report: Callable[[str], None],
    broken: Callable[[BaseException], None],
) -> AsyncIterator[Starlette]:
    """As `assembly.application`; raises ConfigFault or StemwatchError for the database as well."""
    assert options.queue_url is not None
    database = Database(options.queue_url, options.queue_url_place, most=8)
    tickets, board = Tickets(database), PgBoard(database)
    # A start that fails half-way must end, too: an open pool would go on.
    async with contextlib.AsyncExitStack() as at_end:
        at_end.push_async_callback(database.close)
        await database.open()
        await tickets.open()
        with usable(options):
            files = open_files(options.data_dir)
            at_end.push_async_callback(asyncio.to_thread, files.close)
            service, teller, records = _service(
                options, files, database, tickets, board, report, broken
            )
        try:
            await same_folder(database, files)
        except Unavailable as fault:
            raise StemwatchError(str(fault), code=Code.SERVER) from None
        at_end.push_async_callback(teller.stop)
        teller.start()
        tasks = [
            supervised(board.watch(), broken),
            supervised(_clean(database, service.cleanup, records, files, report), broken),
        ]
        at_end.push_async_callback(_stop, tasks, service)
        yield create_app(service)


async def _stop(tasks: list[asyncio.Task[None]], service: Service) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, service.submissions.stop(), return_exceptions=True)


def _service(
    options: Options,
    files: Files,
    database: Database,
    tickets: Tickets,
    board: PgBoard,
    report: Callable[[str], None],
    broken: Callable[[BaseException], None],
) -> tuple[Service, Teller, PgRecords]:
    records = PgRecords(database, tickets, files)
    links, uploads = link_parts(options, files)
    trial = Trial(None, files, report)
    teller = Teller(
        database,
        payloads=payloads(links, time.time),
        secret=options.webhook_secret,
        report=report,
        broken=broken,
    )
    keep = options.keep_hours * 3600
    limits = Limits(None, options.min_seconds, options.max_seconds)
    service = Service(
        files=files,
        records=records,
        board=board,
        submissions=Submissions(files, records, offer=board, limits=limits, trial=trial),
        trial=trial,
        cleanup=Cleanup(files, records, keep, options.min_free, report, uploads.remove_old),
        links=links,
        tickets=uploads,
        credit=Credit(records, options.credits),
        rate=RateLimits(options.rate_limit, time.time),
        webhooks=PgSubscriptions(database, secret=options.webhook_secret is not None),
        callers=Callers(options.key, options.keys_file, report, public_url=options.public_url),
        offer=board,
        busy=lambda: 0,
    )
    return service, teller, records


async def _clean(
    database: Database,
    cleanup: Cleanup,
    records: PgRecords,
    files: Files,
    report: Callable[[str], None],
) -> None:
    """Remove what is old, at intervals; of several front ends one at a time."""
    while True:
        try:
            async with database.alone(CLEANING) as mine:
                if mine:
                    await cleanup.remove_old()
                    await _forget_orphans(cleanup, records, files)
        except (OSError, Unavailable) as fault:
            report(f"old results stay: {fault}")
        await asyncio.sleep(min(EVERY, max(cleanup.keep / 4, 0.2)))


async def _forget_orphans(cleanup: Cleanup, records: PgRecords, files: Files) -> None:
    """Delete what submissions that were cut off left: no row is about it, and it is old."""
    left = [one for one in await asyncio.to_thread(orphans, files, LEFT) if JOB_ID.fullmatch(one)]
    for at in range(0, len(left), 1000):
        for job_id in await records.unknown(left[at : at + 1000]):
            await cleanup.tried(job_id, asyncio.to_thread(_forget, files, job_id))
    await asyncio.to_thread(files.forget_instances, LEFT)


def _forget(files: Files, job_id: str) -> None:
    files.set_aside(job_id)
    files.discard(job_id)
