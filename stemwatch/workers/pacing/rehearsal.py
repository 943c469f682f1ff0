"""Rehearsals: write a small file into a folder to see whether a step would succeed there."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress

from stemwatch.disks import durable
from stemwatch.disks.places import Place
from stemwatch.outbox import staging


async def demand_staging(place: Place) -> None:
    """`staging.require`, of the service's own outbox, which a hung disk can't hold up."""
    if place.outbox in place.anchors:
        await place.demand(staging.require, place.outbox)


class Rehearsal:
    """Writes, flushes, renames and removes a small file; one name for each service and outbox.

    A kill leaves one such file in a folder at most, and the next rehearsal there takes it away. A
    neighbour's service has another name: its file may not be ours to remove.
    """

    def __init__(self, journal: str, outbox: str) -> None:
        """`journal`: its path, which no other service has."""
        told = os.fsencode(journal) + b"\0" + os.fsencode(outbox)
        self._root_of: dict[str, str] = {}  # folders that are not roots themselves
        self._name = f".stemwatch-probe-{zlib.crc32(told):08x}"

    async def of_place(self, place: Place) -> None:
        """Raise the StemwatchError that any song would meet in one of the place's own folders."""
        await place.demand_results()
        for root in place.roots:
            # One folder a look: whoever asks for the same meanwhile shares it, and its file.
            await place.demand(self._root, root)

    async def of_folder(self, place: Place, root: str, folder: str) -> None:
        """Raise the StemwatchError that a song would meet in `folder`, below `root`.

        The folder is made if need be: ask only for one that a song is to be put into.
        """
        await place.demand(durable.require_root, root)
        self._root_of[folder] = root
        await place.demand(self._folder, folder)

    def _root(self, root: str) -> None:
        durable.require_root(root)
        hidden = os.path.join(root, staging.HIDDEN)
        for folder in (root, hidden) if os.path.lexists(hidden) else (root,):
            self._try(folder)

    def _folder(self, folder: str) -> None:
        with durable.disk_faults(folder):
            durable.make_dirs(folder, root=self._root_of[folder])
        self._try(folder)

    def _try(self, folder: str) -> None:
        path = os.path.join(folder, self._name)
        with durable.disk_faults(folder):
            try:
                durable.write_file(path, b"\0" * 4096, replace=True)
            finally:
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(path)
