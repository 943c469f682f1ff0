"""The service: start, work, and the drain on SIGTERM. Signals and the service manager meet here."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

from stemwatch import __version__
from stemwatch.config import Settings
from stemwatch.disks.doorbell import Doorbell
from stemwatch.disks.lock import SERVICE, InstanceLock
from stemwatch.errors import StemwatchError
from stemwatch.journal.sorting import NOT_SERVED
from stemwatch.log import configure, log
from stemwatch.notices.service import noticing
from stemwatch.service import orphans
from stemwatch.service.hangup import Hangup
from stemwatch.service.inboxes import AllServed, Served
from stemwatch.service.opened_folders import Opened, opened
from stemwatch.service.reload import Read, Reload, again
from stemwatch.service.report import Report
from stemwatch.service.systemd import Manager
from stemwatch.service.upkeep import tidying
from stemwatch.service.verdict import verdict
from stemwatch.service.watchdog import Vital
from stemwatch.service.webhook_setup import receiver_of, registered
from stemwatch.web.health import Health
from stemwatch.web.listening import bound
from stemwatch.web.server import serving
from stemwatch.wiring.tuning import retune
from stemwatch.wiring.working_set import place_of, working_set
from stemwatch.workers import asking_credit, orders
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pool.turns import Pool

DRAIN_SECONDS = 75.0  # below the unit's TimeoutStopSec
_THREADS = 64  # for each inbox, made as needed: 16 files and the pool's seats may hang at once


async def run_service(
    settings: Settings,
    *,
    key: str | None,
    once: bool = False,
    timing: Timing | None = None,
    env: Mapping[str, str] = os.environ,
    read: Read | None = None,
) -> int:
    """Run until a signal (or, with `once`, until all is worked off); returns the exit code.

    `read` gives the configuration anew at a SIGHUP; None: the same file again.
    Raises StemwatchError when it can't start, or can't write its journal any more.
    """
    # So many threads that calls which hang in a share leave some for everything else.
    threads = _THREADS * len(settings.every_inbox)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads))
    chosen = timing or Timing()
    folders = await opened(settings, chosen, env)
    lock = InstanceLock(os.path.join(settings.state_dir, SERVICE))
    try:
        places = {
            inbox.name: place_of(inbox.folders, folders[inbox.name].mode, chosen.disk_answer)
            for inbox in settings.every_inbox
        }
        with bound(settings.web) as listener:
            async with working_set(settings, key=key, places=places, timing=chosen) as context:
                service = Service(settings, context, folders, env, read)
                called = receiver_of(settings, context)
                async with AsyncExitStack() as stack:
                    receive = called.receive if called else None
                    backing = None
                    if settings.web.page:  # imported here: others need none of it
                        from stemwatch.service.page_setup import backing_of

                        backing = backing_of(service)
                    await stack.enter_async_context(
                        serving(listener, service.health, receive=receive, backing=backing)
                    )
                    if called is not None:
                        stack.enter_context(registered(context, called))
                    await stack.enter_async_context(noticing(settings, context, env))
                    return await service.run(once=once)
    finally:
        lock.release()


class Service:
    """One running service; the seam between the rounds through the inboxes and the pool."""

    def __init__(
        self,
        settings: Settings,
        context: Context,
        folders: Mapping[str | None, Opened],
        env: Mapping[str, str],
        read: Read | None = None,
    ) -> None:
        self.settings = settings
        self.context = context
        self._started = time.time()
        self._stop = asyncio.Event()
        self._missed = False  # files of the inbox, when all else was worked off
        self._pool = Pool(context)
        self.inboxes = AllServed(
            [
                Served(inbox, settings.watch, context, one.mode, one.require)
                for inbox in settings.every_inbox
                for one in (folders[inbox.name],)
            ]
        )
        vital = Vital(
            self.inboxes,
            context.journal,
            self._pool,
            rescan=lambda: self.settings.watch.rescan_seconds,
            longest_call=lambda: settings.api.upload_timeout + context.timing.answer,
        )
        self._manager = Manager(context, vital, env)
        self._doorbell = Doorbell(settings.state_dir)
        self._reload = Reload(
            settings,
            read or again(settings, env),
            take=self._take,
            begun=self._manager.reloading,
            ended=self._manager.reloaded,
        )
        self._report = Report(
            context,
            self.inboxes,
            self._manager,
            state_dir=settings.state_dir,
            configuration=settings.source,
        )
        self.health = Health(context, self.inboxes, self._pool, patience=vital.rounds_patience)

    async def run(self, *, once: bool) -> int:
        self._listen_to_signals()
        await self._manager.start(self._prepare())
        tasks = [
            asyncio.create_task(self._pool.run(), name="pool"),
            asyncio.create_task(self.inboxes.run(), name="rounds"),
            asyncio.create_task(self._report.run(), name="report"),
            asyncio.create_task(asking_credit.keep(self.context), name="credit"),
            asyncio.create_task(orders.keep(self.context, self._doorbell.wait), name="orders"),
            asyncio.create_task(
                orphans.keep(self.context, self.settings.state_dir), name="orphans"
            ),
            asyncio.create_task(
                tidying.keep(self.context, self.inboxes, self._archive_days), name="tidying"
            ),
        ]
        log.info(
            "service.started",
            version=__version__,
            inbox=", ".join(served.root for served in self.inboxes.every),
            watch=self.inboxes.watching["mode"],
            reason=self.inboxes.watching["reason"] or None,
            separates="on this machine" if self.settings.local else self.settings.api.base_url,
        )
        ends = [*tasks, asyncio.create_task(self._stop.wait(), name="stop")]
        if once:
            ends.append(asyncio.create_task(self._worked_off(), name="once"))
        looked = False
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                _require_well(task)
            # A drain stops the intake, so this is asked before it. What `_worked_off` saw holds: a
            # scan that met an original on its way to the archive waits for that file for a moment.
            if not (looked := any(task.get_name() == "once" for task in done)):
                looked, self._missed = self.inboxes.looked, self.inboxes.missed
        finally:
            await self._drain([*ends])
        if not once:
            return 0  # stopped by a signal: the manager's way, whatever is left for the next start
        told = {"looked": looked, "missed": self._missed}
        return await verdict(self.context, self.inboxes, since=self._started, **told)

    async def _prepare(self) -> None:
        """Clean up and recover after an earlier run."""
        context = self.context
        every = self.settings.every_inbox
        outboxes = {inbox.folders.outbox: inbox.name for inbox in every}
        for job in await context.journal.sort_in(outboxes):
            log.info("job.gone", **job.named, reason=NOT_SERVED)
        await self.inboxes.prepare()
        await orders.look(context)  # before anything could be paid for
        await self._pool.recover()

    async def look_at_orders(self) -> None:
        """Carry out at once what the page has written to the journal."""
        await orders.look(self.context)
        self._doorbell.ring()  # the next look may be due earlier now

    def _take(self, settings: Settings) -> None:
        """Apply a configuration that was read again, as far as it can change while running."""
        self.settings = settings
        self.inboxes.take(settings)
        retune(self.context, settings)
        configure(settings.log.level, settings.log.format)
        self._doorbell.ring()  # the hours may be others now

    def _archive_days(self, inbox: str | None) -> float | None:
        found = self.settings.inbox(inbox)
        return None if found is None else found.folders.keep_archive_days

    # -- the end ---------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        hangup = Hangup(stop=self._hung_up, reload=self._reload.start)
        loop.add_signal_handler(signal.SIGHUP, hangup.signalled)

    def _hung_up(self) -> None:
        if not self._stop.is_set():  # both kernel and shell send it: it is no second signal
            self._signalled()

    def _signalled(self) -> None:
        if self._stop.is_set():
            log.warning("service.aborting", message="second signal: stopping now")
            self._pool.abort()
            return
        log.info("service.stopping", message="finishing what can't be stopped; again to abort")
        self._stop.set()

    async def _drain(self, tasks: list[asyncio.Task[object]]) -> None:
        self.health.stopping = True
        for task in tasks:
            if task.get_name() != "pool":
                task.cancel()
        # A service manager gives more time when it is asked. Without one, we may be killed soon.
        costly = self.context.timing.answer + 10.0 if self._manager.listens else 0.0
        await self._manager.drain(self._pool.stop(DRAIN_SECONDS, costly))
        await asyncio.gather(*tasks, return_exceptions=True)
        self._doorbell.close()
        self.context.progress.running.clear()
        await self._report.write()
        log.info("service.stopped")

    async def _worked_off(self) -> None:
        """Returns when nothing is left to do, or what is left can't go on by itself soon."""
        while True:
            # Both at one time: a scan that ends meanwhile may find what was missed once more.
            looked, self._missed = self.inboxes.looked, self.inboxes.missed
            if looked and (await self._pool.idle() or await self._pool.stuck()):
                return
            await asyncio.sleep(min(0.2, self.context.timing.status_every))


def _require_well(part: asyncio.Task[object]) -> None:
    """Raise the fault of a task that died: the service ends, and its manager starts it again."""
    fault = part.exception()
    if fault is None:
        return
    # Logged here too: where a disk hangs, the process may be ended before its caller can log it.
    if isinstance(fault, StemwatchError):
        why = {"message": fault.message, "hint": fault.hint}
        log.critical("service.failed", part=part.get_name(), **why)
    else:
        log.critical("service.failed", part=part.get_name(), exc_info=fault)
    raise fault
