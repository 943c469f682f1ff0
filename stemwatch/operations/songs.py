"""Finds the songs in the files and folders that `split` and `estimate` are given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby

from stemwatch.config import Settings
from stemwatch.disks.nested_paths import is_at_or_below, is_below
from stemwatch.errors import StemwatchError
from stemwatch.inbox.names import Filter
from stemwatch.inbox.scan import Offline, scan
from stemwatch.outbox import sidecar


def songs(paths: Sequence[str], filter: Filter, apart: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (path, path below the results' folder) of named files and of songs in named folders.

    In a named folder, files below a folder of `apart` or beside a sidecar are left out: they are
    results, and would be paid for anew at every run. A file or folder that is named is always
    taken.
    """
    aside = [os.path.realpath(folder) for folder in apart]
    for path in paths:
        if not os.path.isdir(path):
            yield path, os.path.basename(path)
            continue
        top = os.path.basename(path.rstrip("/"))
        try:
            for found, relpath in _in_folder(path, filter, aside):
                yield found, f"{top}/{relpath}" if top else relpath
        except Offline:  # reported like a named file that can't be read, not taken for empty
            yield path, top


def made_here(settings: Settings) -> list[str]:
    """The folders in which the configured service leaves results and originals."""
    return [
        folder
        for inbox in settings.every_inbox
        for folder in (inbox.folders.outbox, inbox.folders.archive, inbox.folders.quarantine)
    ]


def _in_folder(root: str, filter: Filter, aside: Sequence[str]) -> Iterator[tuple[str, str]]:
    real = os.path.realpath(root)
    below = [folder for folder in aside if is_below(folder, real)]
    # The scan goes folder by folder, so each folder with songs is checked once.
    for relpath, found in groupby(scan(root, filter), lambda one: os.path.dirname(one.relpath)):
        folder = os.path.join(real, relpath).rstrip("/")
        made = any(is_at_or_below(folder, left_out) for left_out in below)
        if not made and not _has_sidecar(folder):
            yield from ((one.path, one.relpath) for one in found)


def _has_sidecar(folder: str) -> bool:
    with suppress(StemwatchError):  # it can't be read any more, as its songs will show
        return sidecar.locate(folder) is not None
    return False
