"""Opens the folders at a start: those of all inboxes at the same time, as their disks may hang.

A call into a share whose server does not answer can't be interrupted. The inbox of such a share is
opened once it answers, and the others are served meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stemwatch.codes import Code
from stemwatch.config import Inbox, Settings, try_folders
from stemwatch.disks.hanging import NoAnswer, Reach
from stemwatch.disks.mounts import WatchMode, watch_mode
from stemwatch.disks.places import HUNG, hangs
from stemwatch.errors import ConfigFault, PauseService
from stemwatch.log import log
from stemwatch.operations.check import renames
from stemwatch.service import sd_notify
from stemwatch.workers.pacing.timing import Timing

_EXTENSION = 20.0  # seconds for which the service manager is asked, beyond the next look


class Tried:
    """Some of the service's folders (`keys` by path): made where they are missing, and tried."""

    def __init__(self, settings: Settings, keys: Mapping[str, str], patience: float) -> None:
        self._settings = settings
        self._keys = keys
        self._reach = Reach(patience)
        self._found: dict[str, list[str]] = {}

    @property
    def faults(self) -> list[str]:
        """One sentence for each folder that can't be used, of those that were tried."""
        return [fault for path in self._keys for fault in self._found.get(path, [])]

    async def attempt(self) -> PauseService | None:
        """Try those that are left to try; returns the pause for one that hangs, or None."""
        for path in self._keys:
            if path not in self._found and (held := await self._ask(self._try, path)) is not None:
                return held
        return None

    async def _ask(self, look: Callable[[str], Any], path: str) -> PauseService | None:
        try:
            await self._reach.ask(look, path)
        except NoAnswer:
            inbox = self._keys[path].endswith("folders.inbox")
            return hangs(path, Code.INBOX if inbox else Code.DISK)
        return None

    def _try(self, path: str) -> None:
        # Noted here, in the thread: what comes too late to be waited for is done all the same.
        self._found[path] = try_folders(self._settings, below=self._keys[path])

    def forget(self) -> None:
        """Have the next attempt try all of them again."""
        self._found.clear()


class Opened(Tried):
    """The folders of one inbox. `mode`: how to watch it, as far as that was known at the start."""

    def __init__(self, settings: Settings, inbox: Inbox, patience: float) -> None:
        keys = {path: inbox.key("folders", name) for name, path in inbox.folders.used()}
        super().__init__(settings, keys, patience)
        self._inbox = inbox
        self._root = inbox.folders.inbox
        self._looked = False
        self._late = False  # the service has started without it
        self.mode = _careful(self._root, "did not answer at the start")

    @property
    def usable(self) -> bool:
        return self._looked and not self.faults

    async def attempt(self) -> PauseService | None:
        held = await super().attempt()
        if held is None and not self._looked:
            held = await self._ask(self._look, self._root)
        return held

    async def require(self) -> None:
        """Open them now if the start could not. Raises PauseService while that can't be done."""
        if self._looked and not self._late:
            return  # what was found then is told, and waited for
        self._late = True
        if (held := await self.attempt()) is not None:
            raise held
        if faults := self.faults:
            missing = self._found[self._root]
            self.forget()  # such as a share that was unmounted meanwhile
            raise PauseService(faults[0], code=Code.INBOX if missing else Code.DISK)
        self._late = False

    def forget(self) -> None:
        super().forget()
        self._looked = False

    def _look(self, root: str) -> None:
        renames.warn(self._inbox)
        try:
            self.mode = watch_mode(self._settings.watch.mode, root)
        except OSError as fault:
            self.mode = _careful(root, f"was not there at the start ({fault.strerror})")
        self._looked = True


def _careful(root: str, why: str) -> WatchMode:
    """Nothing is known of this inbox."""
    return WatchMode("poll", f"{root} {why}: looked for at every rescan", network=True)


async def opened(
    settings: Settings, timing: Timing, env: Mapping[str, str] = os.environ
) -> dict[str | None, Opened]:
    """Open all folders; returns those of each inbox once the service can start.

    Of several inboxes, all with usable folders are served. One person's absent or hanging disk is
    reported and waited for while the others' songs go on. While nobody's folders can be used but
    some may be, or state_dir hangs, it waits. Raises ConfigFault where waiting is in vain.
    """
    state = Tried(settings, {settings.state_dir: "state_dir"}, timing.disk_answer)
    of = {one.name: Opened(settings, one, timing.disk_answer) for one in settings.every_inbox}
    told: set[str] = set()
    while True:
        held = await asyncio.gather(state.attempt(), *(one.attempt() for one in of.values()))
        faults = [*state.faults, *(fault for one in of.values() for fault in one.faults)]
        if state.faults or not (any(held) or any(one.usable for one in of.values())):
            raise ConfigFault(*faults)
        if held[0] is None and any(one.usable for one in of.values()):
            break
        _wait_with([pause.message for pause in held if pause] + faults, told, timing, env)
        await asyncio.sleep(timing.disk_recheck)
        for one in of.values():
            if one.faults:
                one.forget()
    for fault in faults:
        log.error("folders.faulty", message=fault, hint="The other inboxes are served meanwhile.")
    return of


def _wait_with(
    messages: Sequence[str], told: set[str], timing: Timing, env: Mapping[str, str]
) -> None:
    """Tell once of each folder that the start waits for, and ask the manager for time."""
    sd_notify.extend(timing.disk_recheck + timing.disk_answer + _EXTENSION, env)
    sd_notify.status(f"starting: {messages[0]}", env)
    for message in messages:
        if message not in told:
            told.add(message)
            log.warning("service.waits", message=message, hint=HUNG)
