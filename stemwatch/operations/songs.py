"""Finds the songs in the files and folders that `split` and `estimate` are given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby

from stemwatch.config import Settings
from stemwatch.inbox.names import Filter
from stemwatch.inbox.scan import Offline, scan
from stemwatch.outbox import sidecar


def songs(paths: Sequence[str], filter: Filter, apart: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(path, path below a result's folder) of named files, and of the songs in named folders.

    Below a named folder, results are no songs: what lies in a folder of `apart`, or beside a
    sidecar, was made here, and would be paid for at every run anew. What is named is always taken.
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
        except Offline:  # told as a named file that can't be read is, not taken for empty
            yield path, top


def made_here(settings: Settings) -> list[str]:
    """Where the configured service leaves what it is done with."""
    return [
        folder
        for inbox in settings.every_inbox
        for folder in (inbox.folders.outbox, inbox.folders.archive, inbox.folders.quarantine)
    ]


def _in_folder(root: str, filter: Filter, aside: Sequence[str]) -> Iterator[tuple[str, str]]:
    real = os.path.realpath(root)
    below = [folder for folder in aside if folder != real and _inside(folder, real)]
    # Folder by folder, as they are found: each is asked about once, and only if it has songs.
    for relpath, found in groupby(scan(root, filter), lambda one: os.path.dirname(one.relpath)):
        folder = os.path.join(real, relpath).rstrip("/")
        if not any(_inside(folder, left_out) for left_out in below) and not _has_sidecar(folder):
            yield from ((one.path, one.relpath) for one in found)


def _inside(path: str, folder: str) -> bool:
    return os.path.join(path, "").startswith(os.path.join(folder, ""))


def _has_sidecar(folder: str) -> bool:
    with suppress(OSError):  # it has just vanished: its songs tell
        return sidecar.locate(folder) is not None
    return False
