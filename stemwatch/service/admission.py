"""Admits files that the rounds through an inbox found, and turns their faults into pauses."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from stemwatch.codes import Code
from stemwatch.config import Inbox
from stemwatch.config.groups.presets import near_miss
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService, StemwatchError
from stemwatch.inbox.intake import Candidate, Intake
from stemwatch.inbox.scan import Found
from stemwatch.job import Identity, Job, Options
from stemwatch.log import log
from stemwatch.workers.context import Context
from stemwatch.workers.holding_back import pause
from stemwatch.workers.pacing.unforeseen import as_pause

_FOLDERS = 4096  # that are remembered, and as many wishes


@dataclass(slots=True)
class _Wish:
    """What came with a song over HTTP, and the file that it came with."""

    options: Options
    taken: Identity | None = None


class Front:
    """Connects the rounds of one inbox to the service.

    `ahead`: files may be read before they have settled.
    """

    def __init__(
        self, inbox: Inbox, context: Context, place: Place, intake: Intake, *, ahead: bool
    ) -> None:
        self.inbox = inbox  # replaced at a reload: presets and options of what comes next
        self._context = context
        self._place = place
        self._intake = intake
        self._ahead = ahead
        self._judged: set[str] = set()  # folders directly in the inbox
        self._asked: dict[str, _Wish] = {}  # by the song's path
        self._asking = threading.Lock()

    async def admit(self, found: Found, *, patient: bool) -> None:
        wish = self._asked.get(found.relpath)
        if wish and wish.taken and not self.same(wish.taken, found.identity):
            wish = None  # another song at the same path
        options = wish.options if wish else self.inbox.options_for(found.relpath)
        await self._admitted(found.relpath, options, patient=patient)

    @contextmanager
    def asking(self, relpath: str, options: Options) -> Iterator[None]:
        """See `web.backing.Door`: whoever sees it first, the scan or its sender, takes it so.

        One thread at a time: of two senders of one name the one whose song does not land puts back
        what it found, and that must be what the other one wished.
        """
        with self._asking:
            before = self._asked.get(relpath)
            self._asked[relpath] = wish = _Wish(options)
            try:
                yield
            except BaseException:  # or the next song of that name would be taken so
                self._asked.pop(relpath, None)
                if before is not None:  # of one that landed there a moment before
                    self._asked[relpath] = before
                raise
            with suppress(OSError):
                path = os.path.join(self.inbox.folders.inbox, relpath)
                wish.taken = Identity.of(os.lstat(path))

    async def admit_now(self, relpath: str, options: Options) -> Job:
        """Journal this file as it stands: whoever sent it says that it is whole."""
        return await self._admitted(relpath, options, patient=False)

    async def _admitted(self, relpath: str, options: Options, *, patient: bool) -> Job:
        candidate = Candidate(
            path=os.path.join(self.inbox.folders.inbox, relpath),
            relpath=relpath,
            options=options,
            outbox=self.inbox.folders.outbox,
            inbox=self.inbox.name,
        )
        self._warn_of_a_near_miss(relpath)
        try:
            job = await self._intake.admit(candidate, patient=patient)
        except FileNotFoundError:
            self._unask(relpath, options)
            raise
        self._note(relpath, options, job.identity)
        self._context.bell.added(job)
        return job

    def _note(self, relpath: str, options: Options, taken: Identity) -> None:
        """A scan that met the song before it was journaled asks once more, and for the same."""
        if (wish := self._asked.get(relpath)) and wish.options is options:
            wish.taken = taken
            for old in list(self._asked)[:-_FOLDERS]:
                self._asked.pop(old, None)

    def _unask(self, relpath: str, options: Options) -> None:
        if (wish := self._asked.get(relpath)) and wish.options is options:
            self._asked.pop(relpath, None)

    def _warn_of_a_near_miss(self, relpath: str) -> None:
        """Once for each folder: its songs are paid for with settings that nobody chose."""
        folder, inside, _ = relpath.partition("/")
        if inside and folder not in self._judged and len(self._judged) < _FOLDERS:
            self._judged.add(folder)
            if (miss := near_miss(relpath, self.inbox.presets)) is not None:
                log.warning("preset.near_miss", path=relpath, message=miss)

    def expect(self, path: str, seen: Identity) -> None:
        with suppress(OSError):  # the inbox has just gone: the next round reports it
            # A file system whose ctimes tell less may be mounted inside the inbox.
            if self._ahead and seen.device == os.stat(self.inbox.folders.inbox).st_dev:
                self._intake.reader.expect(path)

    def forget(self, path: str) -> None:
        self._intake.reader.forget(path)

    async def close(self) -> None:
        await self._intake.reader.close()

    async def require_online(self) -> None:
        await self._place.require_inbox()
        # The page asks as well, also before the start's work there is done.
        if self._place.prepared and self._context.gate.reopen(Code.INBOX, self.inbox.name):
            self._context.bell.wake()

    def same(self, one: Identity | None, other: Identity) -> bool:
        return self._place.same(one, other)

    def scanned(self) -> None:
        # `retry` is another process: what it brought back is due.
        self._context.bell.wake()
        self._context.progress.changed.set()

    def offline(self, fault: PauseService) -> None:
        pause(self._context, fault, self.inbox.name)

    def unforeseen(self, fault: Exception) -> None:
        pause(self._context, as_pause(fault), self.inbox.name)

    def trouble(self, fault: StemwatchError) -> None:
        self._context.bell.wake()  # the pool ends the service where the journal failed
        if isinstance(fault, PauseService):
            pause(self._context, fault, self.inbox.name)
        else:
            log.error("inbox.trouble", code=fault.code, message=fault.message, hint=fault.hint)
