"""Presets: which folder of an inbox each one means, and the folders that are made for them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import lru_cache


@lru_cache(maxsize=512)
def folded(name: str) -> str:
    """The same for all names that differ only in capitals, or in how an accent is encoded.

    Macs write `fête` in another form (NFD) than everybody else, and shares hand that on.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", name).casefold())


def meant(folder: str, presets: Collection[str]) -> str | None:
    """The preset that a folder directly in the inbox chooses; None: none of them."""
    if folder in presets:
        return folder
    wanted = folded(folder)
    return next((name for name in presets if folded(name) == wanted), None)


def alike(presets: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each preset that means the folder of an earlier one, with that one."""
    seen: dict[str, str] = {}
    for name in presets:
        first = seen.setdefault(folded(name), name)
        if first != name:
            yield name, first


def make_folders(inbox: str, presets: Collection[str]) -> None:
    """Make the folder of each preset, unless there is one that means it already.

    Raises OSError where the inbox can't be listed or written.
    """
    if not presets:
        return
    there = {folded(name) for name in os.listdir(inbox)}
    for name in presets:
        if folded(name) not in there:
            with suppress(FileExistsError):
                os.mkdir(os.path.join(inbox, name))
