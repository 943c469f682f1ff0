"""The sound of FLAC and MPEG files: all frames, between the tags in front and those behind."""

from __future__ import annotations

import os

from stemwatch.audio.containers.mpeg_frames import tag_before
from stemwatch.audio.containers.mpeg_headers import HEAD, kind_of
from stemwatch.audio.soundhash.listeners import Odd, SpanListener

_STREAMINFO = 34  # bytes
_MOST_BLOCKS = 128
_ZEROS = 1 << 16  # bytes of padding that a tag in front may have and not count
_APE, _APE_HAS_HEADER = 32, 0x80


def flac_listener(fd: int, size: int, start: int) -> SpanListener:
    """Hears the STREAMINFO and all behind the metadata blocks, of a FLAC that begins at `start`."""
    info = os.pread(fd, 4 + _STREAMINFO, start + 4)
    if info[0] & 0x7F != 0 or int.from_bytes(info[1:4], "big") != _STREAMINFO:
        raise Odd
    if (info[4 + 12] >> 1 & 7) + 1 > 2:
        raise Odd  # which speaker a channel is for may stand in a tag
    at = start + 4
    for _ in range(_MOST_BLOCKS):
        block = os.pread(fd, 4, at)
        at += 4 + int.from_bytes(block[1:4], "big")
        if block[0] & 0x80:
            break
    if os.pread(fd, 2, at) not in (b"\xff\xf8", b"\xff\xf9"):
        raise Odd
    return SpanListener("flac", [(b"info", info[4:])], [(at, size)])


def mpeg_listener(fd: int, size: int, start: int) -> SpanListener:
    """Hears all that lies between ID3v2 in front (to `start`), and ID3v1, APEv2 and Lyrics3."""
    end = size
    while length := tag_before(fd, end):
        if _is_headless(fd, end):
            raise Odd  # nothing shows that its length is true: it might hide sound
        end -= length
    if start:
        padding = os.pread(fd, _ZEROS, start)
        start += len(padding) - len(padding.lstrip(b"\0"))
    if end <= start or kind_of(os.pread(fd, HEAD, start)) is None:
        raise Odd
    return SpanListener("mpeg", [], [(start, end)])


def _is_headless(fd: int, end: int) -> bool:
    """Whether an APE tag without a header ends there."""
    footer = os.pread(fd, _APE, max(0, end - _APE))
    return footer[:8] == b"APETAGEX" and not footer[23] & _APE_HAS_HEADER
