"""Whether an inbox's folders are on their disks, asked before a command moves or misses a file.

A folder without its mount seems empty: its files seem gone, and what is put there is hidden once
the disk is back.
"""

from __future__ import annotations

from collections.abc import Mapping

from stemwatch.config import Inbox
from stemwatch.disks.hanging import Reach
from stemwatch.disks.places import Anchor, Place
from stemwatch.journal.journal import Journal


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
        place = self._known.get(inbox.name) or await self._recalled(inbox, others)
        await place.require_inbox()
        await place.demand(place.require_root, *others)

    async def _recalled(self, inbox: Inbox, others: tuple[str, ...]) -> Place:
        paths = (inbox.folders.inbox, *others)
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
