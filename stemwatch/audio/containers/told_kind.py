"""What FFmpeg is told of a file before it opens it, where the first bytes leave no doubt.

Left alone, FFmpeg tries every format on a file, and every codec on the samples of a WAV: four
fifths of what probing a short song costs.
"""

from __future__ import annotations

import os
import re
from array import array

from stemwatch.audio.containers import id3v2
from stemwatch.audio.containers.mpeg_headers import HEAD, kind_of, lengths_of

_READ = 1 << 15  # bytes: as many as FFmpeg looks at by `probesize`
_FRAMES = 4  # that follow one another: a chance of one in many millions
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # a WAV's format tags
# A "PCM" WAV may be a film's sound as it left the player, and FFmpeg has to find that out itself:
# DTS in 16 and 14 bits of both orders, and what IEC 61937 wraps. AC-3's mark is too short for this.
_OTHER_SOUND = tuple(
    bytes.fromhex(mark) for mark in ("7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8", "72f81f4e")
)
_AC3 = re.compile(rb"\x0bw")
# fmt: off
_AC3_KBITS = (
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
)
# fmt: on


def told_kind(path: str) -> str | None:
    """FFmpeg's name of what this file surely is, `wav` (of plain samples) or `mp3`; else None."""
    try:
        with open(path, "rb", buffering=0) as file:
            return _kind(file.fileno())
    except OSError:  # whoever opens it next says what is wrong
        return None


def _kind(fd: int) -> str | None:
    head = os.pread(fd, _READ, 0)
    if head[:4] == b"RIFF":
        return "wav" if _is_samples(head) else None
    tag = id3v2.length(head)
    return "mp3" if _is_frames(os.pread(fd, _READ, tag) if tag else head) else None


def _is_samples(head: bytes) -> bool:
    if head[8:12] != b"WAVE":
        return False
    at = 12
    while head[at : at + 4] != b"fmt ":  # others may stand before it: JUNK, bext
        if at + 8 > len(head):
            return False
        size = int.from_bytes(head[at + 4 : at + 8], "little")
        at += 8 + size + (size & 1)
    if int.from_bytes(head[at + 8 : at + 10], "little") not in (_PCM, _FLOAT, _EXTENSIBLE):
        return False
    return not (any(mark in head for mark in _OTHER_SOUND) or _is_ac3(head) or _is_ac3(_swap(head)))


def _swap(head: bytes) -> bytes:
    """The same with the two bytes of each sample changed round."""
    swapped = array("H", head[: len(head) // 2 * 2])
    swapped.byteswap()
    return swapped.tobytes()


def _is_ac3(head: bytes) -> bool:
    """Whether a frame of AC-3 or E-AC-3 begins somewhere, and another where it ends."""
    for found in _AC3.finditer(head):
        length = _ac3_length(head[found.start() : found.start() + 6])
        if length and _AC3.match(head, found.start() + length):
            return True
    return False


def _ac3_length(frame: bytes) -> int:
    """In bytes, by ETSI TS 102 366; 0: this is no frame."""
    if len(frame) < 6 or frame[5] >> 3 > 16:
        return 0
    if frame[5] >> 3 > 10:
        return 2 * (((frame[2] & 7) << 8 | frame[3]) + 1)
    rate, index = frame[4] >> 6, frame[4] & 63
    if rate == 3 or index >= 2 * len(_AC3_KBITS):
        return 0
    kbits = _AC3_KBITS[index // 2]
    return (4 * kbits, 2 * (kbits * 96_000 // 44_100 + (index & 1)), 6 * kbits)[rate]


def _is_frames(head: bytes) -> bool:
    kind, at = kind_of(head[:HEAD]), 0
    if kind is None or kind.layer != 3:
        return False
    lengths = lengths_of(kind)
    for _ in range(_FRAMES):
        length = lengths.get(head[at : at + HEAD])
        if length is None:
            return False
        at += length
    return True
