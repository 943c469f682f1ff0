"""What the page and the API are given: the service's inboxes, its money, its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stemwatch.job import Job
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.operations.retrying import bring_back, inbox_of
from stemwatch.web.backing import Backing
from stemwatch.web.listening import password_of
from stemwatch.wiring.spending import budget_of, spending

if TYPE_CHECKING:
    from stemwatch.service.app import Service


def backing_of(service: Service) -> Backing:
    """Raises ConfigFault for a password file that can't be used."""

    async def money(journal: ReadOnlyJournal) -> dict[str, Any]:
        settings = service.settings
        return await spending(budget_of(settings), journal, service.context.now())

    async def retry(job: Job) -> tuple[Job, str]:
        context = service.context
        folder = inbox_of(service.settings, job)
        retried = await bring_back(context.journal, job, folder, running=True)
        context.wake()
        return retried.job, retried.words

    return Backing(
        settings=lambda: service.settings,
        health=service.health,
        doors={served.name: served for served in service.inboxes.every},
        watching=lambda: [
            {"name": one.name, "mode": one.watcher.mode, "healthy": one.watcher.healthy}
            for one in service.inboxes.every
        ],
        money=money,
        retry=retry,
        password=password_of(service.settings.web),
        state_dir=service.settings.state_dir,
    )
