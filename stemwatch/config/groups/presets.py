"""Presets: which folder of an inbox each one means, and the folders that are made for them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache

_CLOSE = 0.8  # the share of letters that two names have in common, as difflib counts it


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


def near_miss(relpath: str, presets: Collection[str]) -> str | None:
    """One sentence where the first folder of this path looks like a slip of the pen; else None."""
    folder, slash, _ = relpath.partition("/")
    if not slash or not presets or meant(folder, presets) is not None:
        return None
    by_fold = {folded(name): name for name in presets}
    close = get_close_matches(folded(folder).strip(), by_fold, n=1, cutoff=_CLOSE)
    if not close:
        return None
    return f"its folder {folder!r} is no preset (is {by_fold[close[0]]!r} meant?): usual settings"


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
