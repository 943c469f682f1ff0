"""Reloads the configuration at SIGHUP, and applies what can change in a running service.

A faulty configuration is reported, and the old one stays as a whole. Keys of files, folders and
connections that are open take effect at a restart, and are named when they were changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from stemwatch.config import Settings, load, merged
from stemwatch.errors import ConfigFault
from stemwatch.log import log
from stemwatch.operations.words import counted
from stemwatch.tasks import supervised

Read = Callable[[], Settings]


def again(settings: Settings, env: Mapping[str, str]) -> Read:
    """A function that reads the file of `settings` again; without a file they stay as they are."""
    source = settings.source
    return lambda: settings if source is None else load(source, env=env)


class Reload:
    """One service's configuration over time. `take` is given each new one that is in force."""

    def __init__(
        self,
        settings: Settings,
        read: Read,
        *,
        take: Callable[[Settings], None],
        begun: Callable[[], None],
        ended: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self._read = read
        self._take = take
        self._begun = begun
        self._ended = ended
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """For a signal handler: reload in a task, one after another."""
        task = supervised(self.run(), _failed, name="reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Read the configuration, and apply it if it is sound. Never raises."""
        async with self._turn:
            self._begun()
            note = "the new configuration could not be read: the old one stays"
            try:
                note = await self._reload()
            except Exception as fault:
                log.error("config.faulty", exc_info=fault)
            finally:
                self._ended(note)

    async def _reload(self) -> str:
        """Reload; returns what the owner still has to do, in one sentence; "" for nothing."""
        try:
            found = await asyncio.to_thread(self._read)
        except ConfigFault as fault:
            log.error("config.faulty", faults=list(fault.faults), hint=fault.hint, kept="the old")
            count = len(fault.faults)
            faults = counted(count, "fault")
            return f"the new configuration has {faults} (see the log): the old one stays"
        self.settings, changed, waiting = merged(self.settings, found)
        if changed:
            self._take(self.settings)
        log.info("config.reloaded", file=found.source, changed=changed)
        if not waiting:
            return ""
        keys = ", ".join(waiting)
        log.warning("config.needs_restart", keys=waiting, hint="Restart it for these.")
        return f"{keys} {'take' if len(waiting) > 1 else 'takes'} effect at a restart"


def _failed(fault: BaseException) -> None:
    log.error("reload.failed", hint="The old configuration stays.", exc_info=fault)
