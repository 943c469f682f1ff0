"""The service's notices: takes the events of the service, sends messages and runs hooks.

Nothing here can hold up or break a song. Taking an event costs a few microseconds, sending and
hooks run beside the work, and a failure is only logged.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress

from stemwatch.codes import Code
from stemwatch.config import Settings
from stemwatch.errors import ConfigFault, StemwatchError
from stemwatch.extras import NOTIFY
from stemwatch.job import Job, JobState
from stemwatch.log import log
from stemwatch.notices import events
from stemwatch.notices.addresses import addresses
from stemwatch.notices.batch import Batch
from stemwatch.notices.events import Event
from stemwatch.notices.hooks import Hooks
from stemwatch.notices.payload import payload
from stemwatch.notices.sender import INVALID, SENT, Message, Outcome, send
from stemwatch.tasks import kept_going, supervised
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.pause import Pause
from stemwatch.workers.steps.filing import reason_of

_AFTER_ERROR = 60.0  # seconds
_MANY = 1000  # songs of one inbox that are counted: each is read whole


@asynccontextmanager
async def noticing(settings: Settings, ctx: Context, env: Mapping[str, str]) -> AsyncIterator[None]:
    """Send notices and run hooks while this is open; at its end, send what still waits."""
    urls = usable(settings)
    if not urls and not settings.hooks:
        yield
        return
    notices = Notices(settings, ctx, urls, env)
    ctx.bell.at_the_end(notices.job_ended)
    ctx.gate.on_change.append(notices.pause_changed)
    tasks = [
        supervised(kept_going(work, _failed, pause=_AFTER_ERROR), _failed, name=name)
        for name, work in (("notices", notices.run), ("hooks", notices.hooks.run))
    ]
    try:
        yield
    finally:
        await notices.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _failed(fault: BaseException) -> None:
    log.error("notices.error", exc_info=fault)


def usable(settings: Settings) -> dict[str, str]:
    """The URLs by name; none, with an error in the log, where they can't be used: songs go on."""
    try:
        urls = addresses(settings)
        if urls:
            NOTIFY.require()
    except ConfigFault as fault:
        log.error("notices.off", message=fault.message, hint=fault.hint)
        return {}
    return urls


class Notices:
    """The notices of one service; `urls` by the name that stands for them in the log."""

    def __init__(
        self, settings: Settings, ctx: Context, urls: Mapping[str, str], env: Mapping[str, str]
    ) -> None:
        self._ctx = ctx
        self._urls = urls
        self._env = env
        self._every = settings.notify.every
        self._batch = Batch(
            urls, kinds=settings.notify.events, every=self._every, again=ctx.timing.notice_again
        )
        self.hooks = Hooks(settings.hooks, payload, env=env, seconds=ctx.timing.hook)
        by_message = bool(urls) and events.BUDGET in settings.notify.events
        self._budget_wanted = by_message or events.BUDGET in settings.hooks
        # Unix seconds, by inbox (None: all): a budget is reported once in its day or month.
        self._told_until: dict[str | None, float] = {}
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()
        self._where = socket.gethostname().partition(".")[0]

    # -- taking events -----------------------------------------------------------------------

    def job_ended(self, job: Job) -> None:
        """Tell that a job is done, in quarantine or gone, and its original filed."""
        event = events.of_job(job, reason_of(job))
        if event is not None:
            self.tell(event)

    def pause_changed(self, pause: Pause, begins: bool) -> None:
        """Tell that a pause begins or ends; hours that come every day are no news."""
        if pause.code != Code.OFF_HOURS:
            self.tell(events.of_pause(pause, begins=begins))

    def tell(self, event: Event) -> None:
        """Take an event for hooks and messages. Never raises: its caller's song comes first."""
        try:
            self.hooks.tell(event)
            before = self._batch.due()
            self._batch.add(event, self._ctx.clock())
            if self._batch.due() != before:
                self._wake.set()
        except Exception as fault:
            log.error("notices.error", exc_info=fault)

    # -- sending -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._look_at_budget()
                await self._send()
            except Exception as fault:
                _failed(fault)
                await asyncio.sleep(min(self._every, _AFTER_ERROR))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_due()):
                    await self._wake.wait()

    async def close(self) -> None:
        """Send what waits and let hooks end, for a bounded time."""
        timing = self._ctx.timing
        await asyncio.gather(
            _within(timing.notice_end, self._last_words()),
            _within(timing.hook_end, self.hooks.finished()),
        )
        if self._batch.unsent:
            log.warning("notices.unsent", addresses=self._batch.unsent)
        if self.hooks.left:
            log.warning("hooks.unfinished", count=self.hooks.left)

    async def _last_words(self) -> None:
        await self._look_at_budget()
        await self._send(rest=True)

    @property
    def _asks_budget(self) -> bool:
        """Whether to ask how much budget is left; a reload may set a limit, or take it away."""
        ctx = self._ctx
        return self._budget_wanted and not ctx.local and ctx.budget.limited

    def _until_due(self) -> float | None:
        """Seconds until there is something to do by itself."""
        due = self._batch.due()
        wait = None if due is None else max(0.01, due - self._ctx.clock())
        if self._asks_budget:
            return self._every if wait is None else min(wait, self._every)
        return wait

    async def _send(self, *, rest: bool = False) -> None:
        """One message to each address for which something is due."""
        async with self._sending:  # what is on its way is not sent a second time
            due = self._batch.take(self._ctx.clock(), rest=rest)
            if not due:
                return
            messages = [
                Message(self._urls[name], digest.title(self._where), digest.body(), digest.urgent)
                for name, digest in due.items()
            ]
            outcomes = await send(messages, env=self._env, seconds=self._ctx.timing.notice)
            for name, outcome in zip(due, outcomes, strict=True):
                self._judge(name, outcome)

    def _judge(self, name: str, outcome: Outcome) -> None:
        now = self._ctx.clock()
        if outcome.kind == SENT:
            self._batch.sent(name, now)
            log.info("notice.sent", address=name)
        elif outcome.kind == INVALID:
            self._batch.drop(name)
            hint = "Mend it; `stemwatch check` tries it. Nothing more is sent there."
            log.error("notice.invalid", address=name, message=outcome.why, hint=hint)
        elif self._batch.failed(name, now):
            hint = "Nothing to do: it is tried again, less and less often, and nothing is lost."
            log.warning("notice.failed", address=name, message=outcome.why, hint=hint)

    async def _look_at_budget(self) -> None:
        """Tell, once in its day or month, that a budget holds back every song that waits for it:
        the one of all, or an inbox's own.
        """
        for inbox in (None, *self._ctx.budget.inboxes) if self._asks_budget else ():
            if self._ctx.now() >= self._told_until.get(inbox, 0.0):
                with suppress(StemwatchError):  # a sick journal has its own notice, still unsent
                    await self._ask_budget(inbox)

    async def _ask_budget(self, inbox: str | None) -> None:
        ctx = self._ctx
        left = await ctx.budget.of(inbox).left(ctx.journal, ctx.now())
        if left.minutes is None or left.until is None:
            return

        async def waiting(most: int, longest: float | None = None) -> int:
            found = await ctx.journal.claim(
                (JobState.QUEUED,),
                now=float("inf"),
                owner=ctx.owner,
                limit=most,
                longest=longest,
                inboxes=() if inbox is None else (inbox,),
                at_hand=False,
            )
            return len(found)

        if await waiting(1) and not await waiting(1, left.minutes * 60.0):
            self._told_until[inbox] = left.until
            if inbox is None:
                count = f"{(await ctx.journal.active())[JobState.QUEUED]}"
            else:
                held = await waiting(_MANY)
                count = f"{held}" if held < _MANY else f"{_MANY} or more"
            self.tell(events.of_budget(left, count, inbox))


async def _within(seconds: float, work: Awaitable[None]) -> None:
    """Await `work` for at most `seconds`; a fault is logged and doesn't stop the service's end."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        pass
    except Exception as fault:
        log.error("notices.error", exc_info=fault)
