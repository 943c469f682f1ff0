"""`outbox.ignore_files`: the programs that are told to leave the outbox alone, and by which file.

Navidrome and Jellyfin: their documentation. MPD and minidlna were run. Plex: its published scanner,
which takes a pattern without a slash for files, and one with a slash for folders.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from stemwatch.config import checks

# An empty file means all to Navidrome, Jellyfin and minidlna.
FILES: Mapping[str, tuple[str, bytes]] = {
    "navidrome": (".ndignore", b""),
    "jellyfin": (".ignore", b""),
    "mpd": (".mpdignore", b"*\n"),
    "minidlna": (".nomedia", b""),
    "plex": (".plexignore", b"*\n*/\n*/*\n"),
}


def programs(value: Any) -> tuple[str, ...]:
    """A list of their names, in any capitals; each is kept once."""
    checks.texts(value)  # for its fault, which names the item
    return tuple(dict.fromkeys(checks.each(_program, value)))


def _program(value: Any) -> str:
    name = checks.text(value).strip().casefold()
    if name in FILES:
        return name
    near = difflib.get_close_matches(name, FILES, n=1, cutoff=0.6)
    meant = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(FILES)}"
    raise ValueError(f"found {value!r}; {meant}")
