"""Which names a song may have, and which of them the API takes as they are. Pure.

What is in a file is told by its content, when it is probed; a name only says whether it is looked
at, and what the API would make of it.
"""

from __future__ import annotations

import os

# The API's own list (its guide names these six).
TAKEN = ("mp3", "wav", "flac", "m4a", "ogg", "webm")
# What FFmpeg decodes, in PyAV 18 and 19 as they come from the registry: these are made FLACs.
# A test makes one of each but of ape and dts, which PyAV's FFmpeg only decodes.
PREPARED = (
    *("aif", "aiff", "aifc", "caf", "w64", "rf64", "au", "ape", "wv", "tta"),
    *("opus", "oga", "aac", "m4b", "wma", "ac3", "eac3", "dts", "mp2", "amr", "mka"),
    *("mp4", "m4v", "mov", "mkv", "3gp"),
)
ALL = (*TAKEN, *PREPARED)
# A mix and its four stems in one file; the programs that play it know it by these endings.
STEM_FILES = (".stem.m4a", ".stem.mp4")


def suffix(name: str) -> str:
    """What stands behind the last dot of the name, in lower case; "" where there is none."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def without_suffix(name: str) -> str:
    """The song's name: `Song` of "Song.mp3", and of "Song.stem.m4a"."""
    song = os.path.splitext(name)[0]
    return os.path.splitext(song)[0] if is_named_stem_file(name) else song


def is_named_stem_file(name: str) -> bool:
    """Whether the name is a stem file's; the content says whether it is one."""
    ending = next((one for one in STEM_FILES if name.lower().endswith(one)), "")
    return len(name) > len(ending) > 0


def is_taken(name: str) -> bool:
    """Whether the API takes a file of this name as it is."""
    return suffix(name) in TAKEN
