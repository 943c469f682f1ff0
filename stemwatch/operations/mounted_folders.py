"""Whether an inbox's folders are on their disks, asked before a command moves or misses a file.

A folder without its mount seems empty: its files seem gone, and what is put there is hidden once
the disk is back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from stemwatch.config import Inbox
from stemwatch.disks.hanging import Reach
from stemwatch.disks.places import AWAY, HUNG, Anchor, Place
from stemwatch.errors import PauseService
from stemwatch.journal.journal import Journal

_BY_ITSELF = "; work goes on by itself."
_AGAIN = ", then give the command again."
_HINTS = {  # of a command, in place of a service's
    AWAY: f"Mount it{_AGAIN} If the folder is meant to be where it is now, put any file into it "
    "first.",
    HUNG: f"Look at that disk or at the server of that network mount{_AGAIN}",
}


@contextmanager
def own_hints() -> Iterator[None]:
    """For a command: the hints of disks are for a service, which goes on by itself."""
    try:
        yield
    except PauseService as fault:
        fault.hint = _HINTS.get(fault.hint) or fault.hint.replace(_BY_ITSELF, _AGAIN)
        raise


class Disks:
    """The disks of one command, or of the running service."""

    def __init__(self, journal: Journal, places: Mapping[str | None, Place] | None = None) -> None:
        """`places`: those of the service, by the inbox's name. None: this is another process.

        The disks that the service noted in the journal tell such a process which to expect.
        """
        self._journal = journal
        self._known = places or {}
        self._own: dict[tuple[str, ...], Place] = {}
        self._reach = Reach()

    async def require(self, inbox: Inbox, *others: str) -> None:
        """Raise PauseService unless the inbox and the folders `others` are on their disks.

        Its code is "inbox" or "disk".
        """
        place = await self._place(inbox, (inbox.folders.inbox, *others))
        await place.require_inbox()
        await place.demand(place.require_root, *others)

    async def require_alone(self, inbox: Inbox, *folders: str) -> None:
        """Raise PauseService(code="disk") unless these folders of an inbox are on their disks.

        The inbox itself is not asked for.
        """
        place = await self._place(inbox, folders)
        await place.demand(place.require_root, *folders)

    async def _place(self, inbox: Inbox, paths: tuple[str, ...]) -> Place:
        return self._known.get(inbox.name) or await self._recalled(inbox, paths)

    async def _recalled(self, inbox: Inbox, paths: tuple[str, ...]) -> Place:
        if paths not in self._own:
            self._own[paths] = Place(
                outbox=inbox.folders.outbox,
                inbox=inbox.folders.inbox,
                anchors={path: Anchor(path) for path in paths},
                unrecalled=set(paths),
                reach=self._reach,
            )
        place = self._own[paths]
        if place.unrecalled:
            await place.recall(self._journal)
        return place
