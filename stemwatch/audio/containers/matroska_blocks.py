"""The blocks of sound in a WEBM or Matroska file that is sound from its first byte to its last.

Source: RFC 9559. Whatever is not plain (films, lacing, clusters of unknown size) is left to FFmpeg.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass, field

_EBML, _SEGMENT, _CLUSTER, _INFO = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1549A966
_TIMESTAMP, _SIMPLE, _GROUP, _BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
# What may lie beside clusters: SeekHead, Void, CRC-32, Tracks, Cues, Tags, Attachments, Chapters.
_BESIDE = frozenset(
    (0x114D9B74, 0xEC, 0xBF, 0x1654AE6B, 0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770, _INFO)
)
_INSIDE = frozenset((_TIMESTAMP, 0xA7, 0xAB, 0xBF, 0xEC))  # of a cluster, beside its blocks
_SCALE = 0x2AD7B1
_LARGEST_INFO = 1 << 16  # bytes: it is read as a whole
_LONGEST_CLUSTER = 1 << 25  # bytes: of sound they hold seconds
_JUMP = 0.3  # seconds: the longest block of any codec plays 0.19


@dataclass(slots=True)
class Blocks:
    """Where each block's packet begins and how long it is, in bytes; times in seconds."""

    starts: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("I"))
    holes: float = 0.0  # where no block begins for longer than one may play
    end: float = 0.0  # where the last one ends, if it plays as long as the one before


class _NotPlain(Exception):
    """FFmpeg has to look at it."""


def blocks_of(path: str) -> Blocks | None:
    """All blocks, in order; None if anything at all is cut, damaged or out of the ordinary."""
    with open(path, "rb", buffering=0) as file:
        try:
            return _Reader(file.fileno()).blocks()
        except (_NotPlain, IndexError):
            return None


class _Reader:
    def __init__(self, fd: int) -> None:
        self._fd, self._size = fd, os.fstat(fd).st_size
        self._found = Blocks()
        self._scale = 0.001  # seconds in a tick
        self._track = -1
        self._last = self._step = 0.0

    def blocks(self) -> Blocks:
        at, size = self._element(0, _EBML)
        at, size = self._element(at + size, _SEGMENT)
        if at + size != self._size:
            raise _NotPlain
        while at < self._size:
            kind, body, size = self._header(at)
            if kind == _CLUSTER:
                self._cluster(body, size)
            elif kind not in _BESIDE:
                raise _NotPlain
            elif kind == _INFO:
                self._info(body, size)
            at = body + size
        self._found.end = self._last + self._step
        return self._found

    def _element(self, at: int, wanted: int) -> tuple[int, int]:
        kind, body, size = self._header(at)
        if kind != wanted:
            raise _NotPlain
        return body, size

    def _header(self, at: int) -> tuple[int, int, int]:
        """The kind of the element there, where its body begins, and the body's length."""
        kind, length, size = _header(os.pread(self._fd, 12, at), 0)
        if at + length + size > self._size:
            raise _NotPlain
        return kind, at + length, size

    def _info(self, base: int, size: int) -> None:
        if size > _LARGEST_INFO:
            raise _NotPlain
        data, at = os.pread(self._fd, size, base), 0
        while at < len(data):
            kind, length, size = _header(data, at)
            if kind == _SCALE:
                self._scale = _number(data[at + length : at + length + size]) / 1e9
            at += length + size

    def _cluster(self, base: int, size: int) -> None:
        if size > _LONGEST_CLUSTER:
            raise _NotPlain
        data = os.pread(self._fd, size, base)
        ticks = at = 0
        while at < size:
            kind, length, inner = _header(data, at)
            body, at = at + length, at + length + inner
            if at > size:
                raise _NotPlain
            if kind == _SIMPLE:
                self._block(data, base, body, inner, ticks)
            elif kind == _GROUP:
                self._group(data, base, body, at, ticks)
            elif kind == _TIMESTAMP:
                ticks = _number(data[body:at])
            elif kind not in _INSIDE:
                raise _NotPlain

    def _group(self, data: bytes, base: int, at: int, end: int, ticks: int) -> None:
        while at < end:
            kind, length, size = _header(data, at)
            if kind == _BLOCK:
                self._block(data, base, at + length, size, ticks)
            at += length + size
        if at != end:
            raise _NotPlain

    def _block(self, data: bytes, base: int, body: int, size: int, ticks: int) -> None:
        """Its head: the track (below 128), the time from the cluster's, flags; then the packet."""
        track, flags = data[body], data[body + 3]
        if self._track < 0:
            self._track = track
        if track != self._track or track < 0x80 or flags & 0x06 or size < 5:
            raise _NotPlain
        time = (ticks + int.from_bytes(data[body + 1 : body + 3], "big", signed=True)) * self._scale
        self._step = time - self._last
        if self._step > _JUMP:
            self._found.holes += self._step
        self._last = time
        self._found.starts.append(base + body + 4)
        self._found.sizes.append(size - 4)


def _number(data: bytes) -> int:
    if len(data) > 8:  # more is none, and no float holds it
        raise _NotPlain
    return int.from_bytes(data, "big")


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """An element's kind, the length of its header, the length of its body."""
    first, second = data[at], data[at + 1]
    if first >= 0x80 and 0x40 <= second < 0x7F:  # nearly all blocks: half the time of a walk
        return first, 3, (second & 0x3F) << 8 | data[at + 2]
    width = 9 - first.bit_length()
    second = data[at + width]
    digits = 9 - second.bit_length()
    if not first or width > 4 or not second or len(data) < at + width + digits:
        raise _NotPlain
    size = int.from_bytes(data[at + width : at + width + digits], "big") & (1 << 7 * digits) - 1
    if size == (1 << 7 * digits) - 1:  # unknown, of a live stream
        raise _NotPlain
    return int.from_bytes(data[at : at + width], "big"), width + digits, size
