"""Rehearsals: write a small file into a folder to see whether a step would succeed there."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from dataclasses import dataclass

from stemwatch.disks import durable
from stemwatch.disks.places import Place
from stemwatch.outbox import staging


async def demand_staging(place: Place) -> None:
    """Call `staging.require` for the place's outbox, without waiting for a hung disk.

    Only for an outbox of the service's own, whose disk is watched. Raises what it raises.
    """
    if place.outbox in place.anchors:
        await place.demand(staging.require, place.outbox)


class Rehearsal:
    """Writes, flushes, renames and removes a small file; its name is per service and outbox.

    So a paid song is not fetched for a folder that can't take it. A kill leaves at most one such
    file in a folder, and the next rehearsal there removes it. Another service that shares the
    folder uses another name, since its file may not be ours to remove.
    """

    def __init__(self, journal: str, outbox: str) -> None:
        """`journal` is the path of the journal, which is unique to this service."""
        told = os.fsencode(journal) + b"\0" + os.fsencode(outbox)
        self._name = f".stemwatch-probe-{zlib.crc32(told):08x}"

    async def of_place(self, place: Place) -> None:
        """Rehearse in the place's folders. Raises the StemwatchError that any song would meet."""
        await place.demand_results()
        for root in place.roots:
            # One call per folder: whoever asks for the same folder meanwhile shares the call.
            await place.demand(self._root, root)

    async def of_folder(self, place: Place, root: str, folder: str) -> None:
        """Rehearse in `folder`, below `root`. Raises the StemwatchError that a song would meet.

        Makes the folder if it is missing, so call it only for one that a song goes into.
        """
        await place.demand(place.require_root, root)
        await place.demand(_Below(root, self._name), folder)

    def _root(self, root: str) -> None:
        durable.require_root(root)
        hidden = os.path.join(root, staging.HIDDEN)
        for folder in (root, hidden) if os.path.lexists(hidden) else (root,):
            _try(folder, self._name)


@dataclass(frozen=True, slots=True)
class _Below:
    """Rehearses in folders below `root`; equal to another one, so that callers share its calls."""

    root: str
    name: str

    def __call__(self, folder: str) -> None:
        with durable.disk_faults(folder):
            durable.make_dirs(folder, root=self.root)
        _try(folder, self.name)


def _try(folder: str, name: str) -> None:
    path = os.path.join(folder, name)
    with durable.disk_faults(folder):
        try:
            durable.write_file(path, b"\0" * 4096, replace=True)
        finally:
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(path)
