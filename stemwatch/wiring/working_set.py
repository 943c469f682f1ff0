"""Assembles the working set of one run, for the service and for `split`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.config import Folders, Settings
from stemwatch.disks.hanging import Reach
from stemwatch.disks.mounts import WatchMode
from stemwatch.disks.places import Anchor, Place
from stemwatch.errors import StemwatchError
from stemwatch.inbox.intake import Intake
from stemwatch.journal.journal import Journal
from stemwatch.journal.schema import JOURNAL
from stemwatch.log import hide, log
from stemwatch.server.spawn import LocalServer
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import SeparationApi
from stemwatch.stemsplit.wires import open_api
from stemwatch.wiring.tuning import Tuning, tuning
from stemwatch.workers.context import Context
from stemwatch.workers.one_ahead import Preparing
from stemwatch.workers.pacing.gate import Gate
from stemwatch.workers.pacing.polls import Polls
from stemwatch.workers.pacing.request_budget import RequestBudget
from stemwatch.workers.pacing.slots import Slots
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pacing.uploads_ahead import Ahead
from stemwatch.workers.preparing import scratch
from stemwatch.workers.progress import Progress


@asynccontextmanager
async def working_set(
    settings: Settings,
    *,
    key: str | None,
    places: Mapping[str | None, Place],
    timing: Timing,
    owner: str | None = None,
    jobs: int | None = None,
) -> AsyncIterator[Context]:
    """Yield a `Context` with an open journal, API and audio helper; close them at the end.

    `jobs` overrides how many songs are separated at once; on this machine, at most as many as there
    is memory for. Raises StemwatchError.
    """
    os.makedirs(settings.state_dir, mode=0o700, exist_ok=True)
    async with AsyncExitStack() as stack:
        journal = Journal(os.path.join(settings.state_dir, JOURNAL))
        stack.callback(journal.close)
        chosen = tuning(settings)
        at_once = jobs or chosen.at_once
        requests = RequestBudget(chosen.per_minute, time.monotonic, timing.minute)
        api = _Api(settings, timing, requests)
        stack.push_async_callback(api.close)
        if settings.local:
            folder = os.path.join(settings.state_dir, _server_dir(owner))
            server = LocalServer(folder, jobs=jobs, on_restart=api.moved, broken=_local_broken)
            base_url, key = await server.start()
            stack.push_async_callback(server.stop)
            at_once = server.seats
            api.open(base_url, key)
        else:
            api.open(settings.api.base_url, key)
        audio = AudioHelper(idle=timing.helper_idle)
        stack.push_async_callback(audio.close)
        await asyncio.to_thread(scratch.clean, settings.state_dir)
        yield _context(
            settings, chosen, journal, api, requests, audio, places, timing, owner, at_once
        )


class _Api:
    """The API of this run: a remote one, or a local server whose address changes at a restart."""

    def __init__(self, settings: Settings, timing: Timing, requests: RequestBudget) -> None:
        self._settings = settings
        self._timing = timing
        self._requests = requests
        self._base_url = ""
        self._key: str | None = None
        self._all: list[SeparationApi] = []
        self.context: Context | None = None

    @property
    def now(self) -> SeparationApi:
        return self._all[-1]

    def open(self, base_url: str, key: str | None) -> None:
        if key:
            hide(key)
        self._base_url, self._key = base_url, key
        calls = Calls(
            base_url,
            key,
            upload_timeout=self._settings.api.upload_timeout,
            answer_timeout=self._timing.answer,
            poll_timeout=self._timing.poll_answer,
            on_rate_limit=self._requests.told,
            permit=self._requests.take,
        )
        self._all.append(open_api(self._settings.wire, calls))

    def moved(self, base_url: str) -> None:
        """Use a new address: the local server crashed and is back, perhaps on another port."""
        if base_url != self._base_url:
            self.open(base_url, self._key)
        if self.context is not None:
            self.context.api = self.now
            self.context.bell.wake()

    async def close(self) -> None:
        for api in self._all:
            await api.aclose()


def _context(
    settings: Settings,
    chosen: Tuning,
    journal: Journal,
    api: _Api,
    requests: RequestBudget,
    audio: AudioHelper,
    places: Mapping[str | None, Place],
    timing: Timing,
    owner: str | None,
    at_once: int,
) -> Context:
    clock = time.monotonic
    slots = Slots(at_once, timing.creep, clock)
    polls = Polls(
        chosen.interval,
        timing.poll_min,
        settings.api.job_deadline,
        timing.late_poll,
        rate=lambda: requests.rate,
    )
    context = Context(
        journal=journal,
        api=api.now,
        audio=audio,
        places=places,
        budget=chosen.budget,
        gate=Gate(timing, clock),
        slots=slots,
        polls=polls,
        ahead=Ahead(timing, slots, polls, clock, keeps=lambda: api.now.keeps_uploads),
        requests=requests,
        progress=Progress(),
        timing=timing,
        hours=chosen.hours if owner is None else {},  # `split` runs now
        local=settings.local,
        whole_tempo=settings.tags.bpm == "whole",
        serato=settings.tags.serato,
        keep_waveforms=settings.web.page and owner is None,  # `split` has no page
        names=chosen.names,
        owner=owner,
        clock=clock,
        preparing=Preparing(settings.prepare.upload, settings.prepare.low_bitrate),
    )
    api.context = context
    return context


def place_of(folders: Folders, mode: WatchMode, patience: float) -> Place:
    """The place of one inbox, with an anchor for each folder. `patience` is in seconds."""
    archive = folders.archive if folders.after_success == "archive" else None
    return Place(
        outbox=folders.outbox,
        inbox=folders.inbox,
        quarantine=folders.quarantine,
        archive=archive,
        after_success=folders.after_success,
        network=mode.network,
        anchors={path: Anchor(path) for _, path in folders.used()},
        reach=Reach(patience),
    )


def intake_of(context: Context, place: Place) -> Intake:
    """The intake of one inbox, with the limits of the API that separates."""
    return Intake(
        context.journal,
        context.audio,
        local=context.local,
        limits=context.api.limits,
        same=place.same,
        demand_disks=lambda job: context.place_of(job).demand_results(),
        keeps=lambda: place.after_success == "keep",
        keys=lambda: (context.preparing.upload, context.preparing.low_bitrate),
    )


def _local_broken(fault: BaseException) -> None:
    """Log that the local server can't run; songs wait meanwhile, as for any server that is down."""
    hint = "It is tried again and again; `stemwatch serve` on this machine shows what it lacks."
    known = isinstance(fault, StemwatchError | OSError)
    log.error("local_server.down", message=str(fault), hint=hint, exc_info=None if known else fault)


def _server_dir(owner: str | None) -> str:
    """The local server's folder. A `split` has a server, and so jobs, apart from the service's."""
    return "local" if owner is None else "local-split"
