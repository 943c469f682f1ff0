"""Files made of chunks (WAV, RF64, W64, AIFF, CAF): how many bytes of samples they should have."""

from __future__ import annotations

import os
from typing import BinaryIO, Literal, NamedTuple

_W64_FILE = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_DATA = b"data" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
_MOST_CHUNKS = 4_096
_NEAR = 1 << 16  # bytes: writers take the largest size that fits, and add or leave out the header
_PIPES = (1 << 31, 0x7F00_0000, 1 << 32)  # LAME, SoX and arecord; SoX for AIFF; FFmpeg


class Samples(NamedTuple):
    """The chunk of samples: the bytes that it says it has (None: its writer never knew) and those
    that are there."""

    said: int | None
    there: int

    @property
    def missing(self) -> float:
        """The share of it that is not there, 0.0 to 1.0."""
        return max(0.0, 1.0 - self.there / self.said) if self.said else 0.0


def is_streamed(size: int) -> bool:
    """Whether a size says nothing: it was written to a pipe, and nobody could go back.

    FFmpeg leaves 0 or 0xFFFFFFFF, SoX 0x7FFFF000, LAME 0x7FFFFFFF, arecord 0x80000000; in the
    size of the whole with a header on top. Sizes between those are true: files of 2 to 4 GB.
    """
    return size == 0 or any(abs(size - limit) <= _NEAR for limit in _PIPES)


def samples_of(file: BinaryIO) -> Samples | None:
    """The chunk of samples; None in a file of another kind, or where there is none."""
    file.seek(0)
    head = file.read(16)
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _find(file, b"data", "little")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _find(file, b"SSND", "big")
    if head[:4] == b"caff":
        return _find_in_caf(file)
    return _find_in_w64(file) if head == _W64_FILE else None


def _find(file: BinaryIO, wanted: bytes, order: Literal["little", "big"]) -> Samples | None:
    end, at, size64 = os.fstat(file.fileno()).st_size, 12, 0
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            break
        size = int.from_bytes(header[4:], order)
        if header[:4] == b"ds64":
            size64 = int.from_bytes(file.read(16)[8:], "little")
        elif header[:4] == wanted:
            size = size64 if size == 0xFFFF_FFFF and size64 else size
            return Samples(None if is_streamed(size) else size, end - at - 8)
        at += 8 + size + (size & 1)
    return None


def _find_in_w64(file: BinaryIO) -> Samples | None:
    end, at = os.fstat(file.fileno()).st_size, 40
    for _ in range(_MOST_CHUNKS):
        if at > end:  # no seek takes a place of 64 bits
            break
        file.seek(at)
        header = file.read(24)  # a GUID and a size that counts them both
        size = int.from_bytes(header[16:], "little")
        if len(header) < 24 or size < 24:
            break
        if header[:16] == _W64_DATA:
            return Samples(None if size >= 1 << 62 else size - 24, end - at - 24)
        at += (size + 7) // 8 * 8
    return None


def _find_in_caf(file: BinaryIO) -> Samples | None:
    end, at = os.fstat(file.fileno()).st_size, 8
    for _ in range(_MOST_CHUNKS):
        if at > end:  # no seek takes a place of 64 bits
            break
        file.seek(at)
        header = file.read(12)
        size = int.from_bytes(header[4:], "big", signed=True)
        if len(header) < 12:
            break
        if header[:4] == b"data":
            return Samples(None if size < 0 else size, end - at - 12)  # -1: up to the end
        if size < 0:
            break
        at += 12 + size
    return None
