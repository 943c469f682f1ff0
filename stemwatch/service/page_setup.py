"""What the page and the API are given: the service's inboxes, its money, its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stemwatch.job import Job
from stemwatch.journal import pausing
from stemwatch.journal.pausing import Order
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.operations.control.holding import end_of
from stemwatch.operations.ended.putting_aside import put_aside
from stemwatch.operations.mounted_folders import Disks
from stemwatch.operations.retrying import bring_back, inbox_of
from stemwatch.operations.standing.time_left import remaining
from stemwatch.web.backing import Backing
from stemwatch.web.listening import password_of
from stemwatch.wiring.spending import budget_of, spending
from stemwatch.workers.progress import running_of

if TYPE_CHECKING:
    from stemwatch.service.app import Service


def backing_of(service: Service) -> Backing:
    """Raises ConfigFault for a password file that can't be used."""
    controls = _Controls(service)
    return Backing(
        settings=lambda: service.settings,
        health=service.health,
        doors={served.name: served for served in service.inboxes.every},
        watching=lambda: [
            {"name": one.name, "mode": one.watcher.mode, "healthy": one.watcher.healthy}
            for one in service.inboxes.every
        ],
        reckon=controls.reckon,
        retry=controls.retry,
        discard=controls.discard,
        pause=controls.pause,
        resume=controls.resume,
        first=controls.first,
        password=password_of(service.settings.web),
        state_dir=service.settings.state_dir,
    )


class _Controls:
    """What a person at the page may ask for; each method as `Backing` has it."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def _disks(self) -> Disks:
        context = self._service.context
        return Disks(context.journal, context.places)

    async def reckon(self, journal: ReadOnlyJournal) -> dict[str, Any]:
        settings, context = self._service.settings, self._service.context
        now = context.now()
        money = await spending(budget_of(settings), journal, now)
        left = None
        if not context.gate.pauses:
            running = running_of(context.progress)
            left = await remaining(journal, running, money["left"], now=now)
        return {
            "money": {**money, "currency": settings.budget.currency},
            "remaining": (left or {}).get("seconds"),  # about; None: paused, or not known
        }

    async def retry(self, job: Job) -> tuple[Job, str]:
        context = self._service.context
        inbox = inbox_of(self._service.settings, job)
        retried = await bring_back(context.journal, job, inbox, self._disks, running=True)
        context.bell.wake()
        return retried.job, retried.words

    async def discard(self, job: Job) -> tuple[Job, str]:
        context = self._service.context
        settings = self._service.settings
        aside = await put_aside(context.journal, job, settings, self._disks, running=True)
        context.bell.wake()
        told = "its original is in the archive" if aside.path else "its original was gone already"
        return aside.job, told

    async def pause(self, until: str | None) -> Order:
        context = self._service.context
        now = context.now()
        end = None if until is None else end_of(until, now)
        order = Order(by="", via="page", since=now, until=end)
        await context.journal.note(pausing.FACT, pausing.written(order))
        await self._service.look_at_orders()
        return order

    async def resume(self) -> None:
        await self._service.context.journal.note(pausing.FACT, pausing.NONE)
        await self._service.look_at_orders()

    async def first(self, job: Job) -> bool:
        late = await self._service.context.journal.put_first([job.id])
        self._service.context.bell.wake()
        return not late
