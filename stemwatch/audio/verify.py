"""Is a downloaded stem whole, and what was asked for?"""

from __future__ import annotations

import os

from stemwatch.audio.probe import probe
from stemwatch.audio.results import Probe
from stemwatch.codes import Code
from stemwatch.errors import Reject

_CODECS = {"wav": "pcm_", "flac": "flac", "mp3": "mp3"}


def verify(path: str, *, expected: float | None, format: str | None) -> Probe:
    """Probe a stem; `expected` is the song's duration in seconds, `format` wav, flac or mp3.

    Raises Reject(code="bad_stem") where it does not decode, is cut off, is another format (by its
    content) or differs from `expected` by more than the greater of 0.5 s and 2 %.
    """
    fits = format is not None and _has_magic(path, format)
    try:
        found = probe(path, "wav" if format == "wav" and fits else None)
    except Reject as fault:
        raise _bad_stem(fault.message) from fault
    name = os.path.basename(path)
    if format is not None and not found.codec.startswith(_CODECS[format]):
        raise _bad_stem(f"{name!r} was asked for as {format}, but it holds {found.codec}.")
    if format is not None and not fits:
        raise _bad_stem(f"{name!r} was asked for as {format}, but it is another container.")
    if expected is not None and abs(found.duration - expected) > max(0.5, 0.02 * expected):
        raise _bad_stem(f"{name!r} plays {found.duration:.2f} s, the song {expected:.2f} s.")
    return found


def _has_magic(path: str, format: str) -> bool:
    """Whether the container is the one asked for: MP3 may be inside of many others."""
    with open(path, "rb") as file:
        head = file.read(4)
    beginnings = {"wav": (b"RIFF", b"RF64"), "flac": (b"fLaC",), "mp3": (b"ID3", b"\xff")}
    return head.startswith(beginnings[format])


def _bad_stem(message: str) -> Reject:
    return Reject(
        message,
        code=Code.BAD_STEM,
        hint="`stemwatch retry` fetches it again; the separation is already paid for.",
    )
