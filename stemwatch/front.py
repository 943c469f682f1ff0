"""What the rounds through the inbox see of the service: files in, trouble out."""

from __future__ import annotations

from stemwatch.config import Settings
from stemwatch.errors import PauseService, StemwatchError
from stemwatch.inbox.intake import Candidate, Intake
from stemwatch.inbox.scan import Found
from stemwatch.job import Identity
from stemwatch.log import log
from stemwatch.workers.context import Context
from stemwatch.workers.outcome import pause


class Front:
    """What the rounds through the inbox see of the service."""

    def __init__(self, settings: Settings, context: Context, intake: Intake) -> None:
        self.settings = settings  # replaced at a reload: presets and options of what comes next
        self._context = context
        self._intake = intake

    async def admit(self, found: Found, *, patient: bool) -> None:
        candidate = Candidate(
            path=found.path,
            relpath=found.relpath,
            options=self.settings.every_inbox[0].options_for(found.relpath),
            outbox=self.settings.folders.outbox,
        )
        await self._intake.admit(candidate, patient=patient)
        self._context.wake()

    async def require_online(self) -> None:
        await self._context.place.require_inbox()
        if self._context.gate.reopen("inbox"):
            log.info("service.resumed", reason="inbox")
            self._context.wake()

    def same(self, one: Identity | None, other: Identity) -> bool:
        return self._context.place.same(one, other)

    def offline(self, fault: PauseService) -> None:
        pause(self._context, fault)

    def trouble(self, fault: StemwatchError) -> None:
        self._context.wake()  # the pool ends the service where the journal failed
        if isinstance(fault, PauseService):
            pause(self._context, fault)
        else:
            log.error("inbox.trouble", code=fault.code, message=fault.message, hint=fault.hint)
