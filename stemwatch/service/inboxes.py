"""The inboxes of a running service: each is watched and scanned by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

from stemwatch.codes import Code
from stemwatch.config import Inbox, Settings
from stemwatch.config.groups import presets
from stemwatch.config.settings import Watch
from stemwatch.disks.mounts import WatchMode
from stemwatch.disks.patience import patiently
from stemwatch.errors import JournalFault, PauseService, StemwatchError
from stemwatch.inbox.names import Filter
from stemwatch.inbox.rounds import CAPACITY, Rounds
from stemwatch.inbox.settle import Settler, quiet_seconds
from stemwatch.inbox.watcher import Watcher
from stemwatch.job import Job, Options
from stemwatch.operations.rebuild import rebuild
from stemwatch.service.admission import Front
from stemwatch.service.upkeep import old_staging
from stemwatch.service.upkeep.marking import Marking
from stemwatch.tasks import side_by_side
from stemwatch.wiring.working_set import intake_of
from stemwatch.workers.context import Context
from stemwatch.workers.holding_back import pause

_PATIENCE = 20  # quiet windows for which a file with missing bytes is waited for


class Served:
    """One inbox: from its folder into the journal."""

    def __init__(
        self,
        inbox: Inbox,
        watch: Watch,
        context: Context,
        mode: WatchMode,
        opened: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`opened` raises PauseService while the folders could not be opened yet."""
        self.name = inbox.name
        self.root = inbox.folders.inbox
        self._context = context
        self._place = context.places[inbox.name]
        self._marking = Marking(self._place, inbox.outbox.markers)
        self._mode = mode
        self._opened = opened
        self._looking = False
        self._place.prepared = False
        self._place.unrecalled.update(self._place.anchors)
        self.watcher = Watcher(
            self.root,
            mode=mode.mode,
            reason=mode.reason,
            loop=asyncio.get_running_loop(),
            wake=lambda: self.rounds.wake(),
            canary_seconds=watch.rescan_seconds * 2,
            grace=min(10.0, watch.rescan_seconds / 2),
        )
        quiet = quiet_seconds(watch.settle_seconds, network=mode.network)
        self._settler = Settler(
            quiet,
            samples=3,
            capacity=CAPACITY,
            patience=quiet * _PATIENCE,
            compare_inode=not mode.network,
        )
        intake = intake_of(context, self._place)
        self._front = Front(inbox, context, self._place, intake, ahead=mode.ctimes)
        self.rounds = Rounds(
            self.root,
            filter=Filter(watch.extensions, watch.ignore),
            settler=self._settler,
            watcher=self.watcher,
            journal=context.journal,
            front=self._front,
            rescan_seconds=watch.rescan_seconds,
            # Elsewhere the kernel does not know who writes: the settle time alone decides.
            guess=self.watcher.still_open if mode.leases else None,
        )

    def take(self, inbox: Inbox, watch: Watch) -> None:
        """Apply a configuration that was read again, as far as it can change while running."""
        self._front.inbox = inbox
        self._marking.take(inbox.outbox.markers, now=self._place.prepared)
        quiet = quiet_seconds(watch.settle_seconds, network=self._mode.network)
        self._settler.set_pace(quiet, quiet * _PATIENCE)
        self.rounds.look_for(Filter(watch.extensions, watch.ignore), watch.rescan_seconds)

    # -- the way in for what comes over HTTP: see `web.backing.Door` -------------------------

    async def require_online(self) -> None:
        await self._front.require_online()

    def look(self) -> None:
        self.rounds.wake()

    def asking(self, relpath: str, options: Options) -> AbstractContextManager[None]:
        return self._front.asking(relpath, options)

    async def admit(self, relpath: str, options: Options) -> Job:
        return await self._front.admit_now(relpath, options)

    async def prepare(self) -> None:
        """Clean up after an earlier run, and rebuild the journal from the outbox if it was lost.

        An inbox whose folders can't be used is reported as a pause, and prepared later. Raises
        JournalFault.
        """
        try:
            await self._prepare()
        except JournalFault:
            raise
        except PauseService as fault:
            pause(self._context, fault, self.name)
        except StemwatchError as fault:
            held = PauseService(fault.message, code=Code.DISK, hint=fault.hint)
            pause(self._context, held, self.name)

    async def _prepare(self) -> None:
        # Any of it may hang, and must not hold up the others' start.
        journal, place = self._context.journal, self._place
        if self._opened is not None:
            await self._opened()
        await place.recall(journal)
        if self.name is not None:
            await place.demand_results()
        # Without the outbox there is nothing to rebuild from: songs would be paid for again.
        require = place.demand_results
        kept_in = place.inbox if place.after_success == "keep" else None
        await rebuild(journal, place.outbox, require=require, inbox=self.name, kept_in=kept_in)
        await old_staging.clear(self._context, place)
        await self._marking.mark()
        place.prepared = True

    async def run(self) -> None:
        """Look through the inbox until cancelled."""
        while not self._place.prepared:
            self.rounds.under_way.set()  # the service's start must not wait for this disk
            await asyncio.sleep(self._context.timing.disk_recheck)
            await self.prepare()
        await self._make_preset_folders()
        self._looking = True
        try:
            await self.rounds.run()
        finally:
            await self._front.close()

    async def _make_preset_folders(self) -> None:
        """So that nobody has to guess their names. Not below a mount point whose disk is away."""
        inbox = self._front.inbox
        with suppress(StemwatchError, OSError):  # the first round reports what is wrong
            await self._front.require_online()
            online = self._front.require_online
            await patiently(online, presets.make_folders, self.root, inbox.presets)

    def standstill(self) -> float:
        """Seconds since the last sign of progress; 0 while it waits for its disk."""
        return self.rounds.standstill() if self._looking else 0.0

    @property
    def away(self) -> bool:
        """Whether the inbox is away, or the disk of its results has not been there yet."""
        pauses = self._context.gate.pauses
        return not self._place.prepared or any(
            (p.code, p.inbox) == (Code.INBOX, self.name) for p in pauses
        )

    @property
    def watching(self) -> dict[str, Any]:
        """How the inbox is watched, for the status file and the log."""
        return {
            "mode": self.watcher.mode,
            "reason": self.watcher.reason,
            "healthy": self.watcher.healthy,
            "rebuilds": self.watcher.rebuilds,
            "scans": self.rounds.completed,
        }


class AllServed:
    """All inboxes of one service, seen as one."""

    def __init__(self, every: Sequence[Served]) -> None:
        self.every = every

    def take(self, settings: Settings) -> None:
        for served in self.every:
            if (inbox := settings.inbox(served.name)) is not None:
                served.take(inbox, settings.watch)

    async def prepare(self) -> None:
        """Prepare them side by side: each may wait for disks of its own."""
        await side_by_side((served.prepare() for served in self.every), name="prepare")

    async def run(self) -> None:
        """Look through all of them until cancelled; raises what any of them meets."""
        await side_by_side((served.run() for served in self.every), name="rounds")

    def standstill(self) -> float:
        return max(served.standstill() for served in self.every)

    @property
    def completed(self) -> int:
        """The number of whole scans of the inbox that has the fewest."""
        return min(served.rounds.completed for served in self.every)

    @property
    def looked(self) -> bool:
        """Whether all files found are in the journal or missed, of every inbox not away."""
        return all(served.rounds.idle or served.away for served in self.every)

    @property
    def missed(self) -> bool:
        """Whether a file of any inbox could not be taken in, and waits for its next scan.

        Nothing is known of the files of one that is away.
        """
        return any(served.rounds.missed and not served.away for served in self.every)

    @property
    def away(self) -> bool:
        return any(served.away for served in self.every)

    @property
    def healthy(self) -> bool:
        return all(served.watcher.healthy for served in self.every)

    @property
    def unreadable(self) -> dict[str, str]:
        """Paths that can't be read, with why."""
        return {p: why for served in self.every for p, why in served.rounds.unreadable.items()}

    @property
    def is_under_way(self) -> bool:
        """Whether the first scan of each has begun, or has found no inbox."""
        return all(served.rounds.under_way.is_set() for served in self.every)

    async def under_way(self) -> None:
        """Return once `is_under_way`."""
        for served in self.every:
            await served.rounds.under_way.wait()

    @property
    def watching(self) -> dict[str, Any]:
        """How one inbox is watched: if there is one, the first that is not watched as it should."""
        shown = min(
            self.every, key=lambda served: (served.watcher.healthy, not served.watcher.reason)
        )
        return {**shown.watching, "healthy": self.healthy, "scans": self.completed}
