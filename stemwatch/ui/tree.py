"""Draws a folder's contents as a tree of lines."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

_MOST = 40  # entries of one folder that are shown


def lines(root: str, *, closed: Collection[str] = (), unicode: bool = True) -> Iterator[str]:
    """Yield `root` and all below it, folders first. Folders named in `closed` are not opened.

    Hidden entries are left out, and symlinks are not followed.
    """
    yield root
    yield from _below(root, "", closed, ("├─ ", "└─ ", "│  ") if unicode else ("|- ", "`- ", "|  "))


def _below(
    folder: str, indent: str, closed: Collection[str], marks: tuple[str, str, str]
) -> Iterator[str]:
    branch, last_branch, line = marks
    with os.scandir(folder) as found:
        entries = sorted(
            (entry for entry in found if not entry.name.startswith(".")),
            key=lambda entry: (not entry.is_dir(follow_symlinks=False), entry.name),
        )
    more = len(entries) - _MOST
    for number, entry in enumerate(entries[:_MOST]):
        last = number == len(entries) - 1
        is_folder = entry.is_dir(follow_symlinks=False)
        mark = last_branch if last else branch
        yield f"{indent}{mark}{entry.name}{'/' if is_folder else ''}"
        if is_folder and entry.name not in closed:
            yield from _below(entry.path, indent + ("   " if last else line), closed, marks)
    if more > 0:
        yield f"{indent}{last_branch}... {more} more"
