"""Runs a worker of the cluster until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from stemwatch.codes import Code
from stemwatch.errors import StemwatchError
from stemwatch.server.cluster.database import Database
from stemwatch.server.cluster.enlisted import Enlisted
from stemwatch.server.cluster.pg_records import PgRecords
from stemwatch.server.cluster.separators import Crew
from stemwatch.server.cluster.shared_folder import open_files, same_folder
from stemwatch.server.cluster.tickets_of_jobs import Tickets
from stemwatch.server.data_directory import usable
from stemwatch.server.offer import Offer
from stemwatch.server.options import Options
from stemwatch.server.starting import prepare
from stemwatch.server.stop_signals import stop_on_signals
from stemwatch.server.work.attempt import Attempts
from stemwatch.server.work.cleanup import Cleanup
from stemwatch.server.work.job_files import Files
from stemwatch.server.work.records import Unavailable
from stemwatch.server.work.trial import Trial

SHARED = "Give the directory that all machines of the cluster share with --data-dir."
KEEP = 365 * 86_400.0  # seconds: what front ends keep is for them to remove


@dataclass(frozen=True, slots=True)
class Working:
    """How a worker works: `beat` seconds between heartbeats, `stall` until it is taken as gone."""

    url: str = field(repr=False)
    place: str
    name: str | None = None
    beat: float = 10.0
    stall: float = 60.0


def run(options: Options, working: Working) -> int:
    """Work until SIGTERM or SIGINT, which give what is being made back at once; exit code 0.

    Prints one line to standard output once it takes jobs. Raises ConfigFault and StemwatchError.
    """
    return asyncio.run(_run(options, working))


async def _run(options: Options, working: Working) -> int:
    stop = asyncio.Event()
    broken: list[BaseException] = []

    def give_up(fault: BaseException) -> None:
        broken.append(fault)
        stop.set()

    stop_on_signals(stop)
    database = Database(working.url, working.place)
    await database.open()
    try:
        offer = await prepare(options, say)
        with usable(options, hint=SHARED):
            files = open_files(options.data_dir)
        await same_folder(database, files)
        crew = await _crew(options, working, database, files, offer, give_up)
        print(f"stemwatch worker: {_name(working)} {offer.line()}", flush=True)
        await stop.wait()
        await crew.stop()
        await asyncio.to_thread(files.close)
    except Unavailable as fault:
        raise StemwatchError(str(fault), code=Code.SERVER) from None
    finally:
        await database.close()
    if broken:
        raise StemwatchError(f"The worker failed: {broken[0]!r}", code=Code.SERVER)
    return 0


async def _crew(
    options: Options,
    working: Working,
    database: Database,
    files: Files,
    offer: Offer,
    broken: Callable[[BaseException], None],
) -> Crew:
    tickets = Tickets(database)
    await tickets.open()
    records = PgRecords(
        database, tickets, files, patient=True, report=say, worker=lambda: enlisted.id
    )
    crew = Crew(database, tickets, records, offer=offer, report=say, broken=broken)
    cleanup = Cleanup(files, records, KEEP, options.min_free, say)
    attempts = Attempts(
        files=files,
        records=records,
        offer=offer,
        trial=Trial(offer.placed, files, say, offer.extras),
        report=say,
        room=cleanup.wait_for_room,
        working=crew.working,
        unused=working.stall,
    )
    enlisted = Enlisted(
        database,
        name=_name(working),
        told=lambda: offer.told() | ({"no_room": True} if cleanup.waiting else {}),
        beat=working.beat,
        stall=working.stall,
        held=crew.jobs,
        busy=crew.busy,
        report=say,
    )
    await enlisted.enlist()
    crew.start(enlisted, attempts)
    return crew


def _name(working: Working) -> str:
    return working.name or f"{socket.gethostname()}-{os.getpid()}"


def say(line: str) -> None:
    print(f"stemwatch worker: {line}", file=sys.stderr, flush=True)
