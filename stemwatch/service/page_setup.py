"""What the page and the API are given: the service's inboxes, its money, its controls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from stemwatch.job import Job, JobState
from stemwatch.journal import pausing
from stemwatch.journal.pausing import Order
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.operations.control.holding import end_of
from stemwatch.operations.ended.putting_aside import put_aside
from stemwatch.operations.retrying import bring_back, inbox_of
from stemwatch.operations.standing.time_left import PAST, audio_left, pace
from stemwatch.web.backing import Backing
from stemwatch.web.listening import password_of
from stemwatch.wiring.spending import budget_of, spending
from stemwatch.workers.context import Context
from stemwatch.workers.progress import running_of

if TYPE_CHECKING:
    from stemwatch.service.app import Service


def backing_of(service: Service) -> Backing:
    """Raises ConfigFault for a password file that can't be used."""

    async def reckon(journal: ReadOnlyJournal) -> dict[str, Any]:
        settings, context = service.settings, service.context
        money = await spending(budget_of(settings), journal, context.now())
        return {
            "money": {**money, "currency": settings.budget.currency},
            "remaining": await _remaining(context, journal, money["left"]),
        }

    async def retry(job: Job) -> tuple[Job, str]:
        context = service.context
        folder = inbox_of(service.settings, job)
        retried = await bring_back(context.journal, job, folder, running=True)
        context.bell.wake()
        return retried.job, retried.words

    async def discard(job: Job) -> tuple[Job, str]:
        context = service.context
        aside = await put_aside(context.journal, job, service.settings, running=True)
        context.bell.wake()
        told = "its original is in the archive" if aside.path else "its original was gone already"
        return aside.job, told

    async def pause(until: str | None) -> Order:
        context = service.context
        now = context.now()
        end = None if until is None else end_of(until, now)
        order = Order(by="", via="page", since=now, until=end)
        await context.journal.note(pausing.FACT, pausing.written(order))
        await service.look_at_orders()
        return order

    async def resume() -> None:
        await service.context.journal.note(pausing.FACT, pausing.NONE)
        await service.look_at_orders()

    async def first(job: Job) -> bool:
        late = await service.context.journal.put_first([job.id])
        service.context.bell.wake()
        return not late

    return Backing(
        settings=lambda: service.settings,
        health=service.health,
        doors={served.name: served for served in service.inboxes.every},
        watching=lambda: [
            {"name": one.name, "mode": one.watcher.mode, "healthy": one.watcher.healthy}
            for one in service.inboxes.every
        ],
        reckon=reckon,
        retry=retry,
        discard=discard,
        pause=pause,
        resume=resume,
        first=first,
        password=password_of(service.settings.web),
        state_dir=service.settings.state_dir,
    )


async def _remaining(context: Context, journal: ReadOnlyJournal, left: float | None) -> int | None:
    """About how many seconds it takes until all is delivered; None: paused, or not known.

    `left`: minutes that may be submitted, None: any.
    """
    started, songs, queued = await journal.open_audio()
    if context.gate.pauses or not (started or songs):
        return None
    queued = queued if left is None else min(queued, left * 60.0)
    audio = audio_left(started, queued, running_of(context.progress))
    speed = pace(await journal.ended(JobState.DELIVERED, limit=PAST + 1))
    return None if speed is None else math.ceil(audio * speed)
