"""Pages of an Ogg file: is the last one whole, and how many recordings lie one after another?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

LONGEST_PAGE = 65_307  # bytes: the last page begins within this of the file's end
_FIRST, _LAST = 2, 4  # flags of a page
_UNSET = (1 << 64) - 1  # the granule of a page on which no packet ends
_CRC = 22  # where the checksum is
_HEADER, _HEAD = 27, 64  # bytes; what is read of the packet that names a stream's format


class Ending(NamedTuple):
    """The last page: its bytes; whether they are all there, it is marked as the last, and nothing
    is behind it."""

    page: bytes = b""
    whole: bool = False
    marked: bool = False
    at_end: bool = False

    @property
    def sound(self) -> bool:
        """Whether its checksum is right."""
        zeroed = self.page[:_CRC] + bytes(4) + self.page[_CRC + 4 :]
        return _checksum(zeroed) == int.from_bytes(self.page[_CRC : _CRC + 4], "little")


def ending(tail: bytes) -> Ending:
    """What the last page in `tail` is like: the file's last LONGEST_PAGE bytes, or more."""
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + _HEADER:
        return Ending()
    lacing = tail[at + _HEADER : at + _HEADER + tail[at + 26]]
    end = at + _HEADER + len(lacing) + sum(lacing)
    whole = len(lacing) == tail[at + 26] and end <= len(tail)
    return Ending(tail[at:end], whole, bool(tail[at + 5] & _LAST), end == len(tail))


def starts_whole(file: BinaryIO) -> bool:
    """Whether page follows page from the first byte on to the first page of sound."""
    return any(granule not in (0, _UNSET) for _, granule, _ in _pages(file))


def links(file: BinaryIO) -> list[str]:
    """The recordings of a chain, in order: what their first streams are, in words."""
    found: list[str] = []
    beginning = False
    for flags, _, head in _pages(file):
        if flags & _FIRST and not beginning:
            found.append(_format(head))
        beginning = bool(flags & _FIRST)
    return found


def _pages(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Flags and granule of each page, and the first packet of each that begins a stream."""
    at = 0
    while True:
        file.seek(at)
        header = file.read(_HEADER)
        if len(header) < _HEADER or header[:4] != b"OggS":
            return
        lacing = file.read(header[26])
        head = file.read(min(_HEAD, sum(lacing))) if header[5] & _FIRST else b""
        yield header[5], int.from_bytes(header[6:14], "little"), head
        at += _HEADER + len(lacing) + sum(lacing)


def _checksum(page: bytes) -> int:
    """CRC-32 as Ogg has it (RFC 3533): highest bit first, from 0."""
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFF_FFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc


def _remainder(value: int) -> int:
    for _ in range(8):
        value = (value << 1 & 0xFFFF_FFFF) ^ (0x04C1_1DB7 if value & 0x8000_0000 else 0)
    return value


_TABLE = [_remainder(byte << 24) for byte in range(256)]


def _format(head: bytes) -> str:
    """Codec, channels and rate by a stream's first packet."""
    head = head.ljust(_HEAD, b"\0")
    if head[1:7] == b"vorbis":
        return _words("Vorbis", head[11], int.from_bytes(head[12:16], "little"))
    if head[:8] == b"OpusHead":
        return _words("Opus", head[9], 48_000)
    if head[1:5] == b"FLAC":
        packed = int.from_bytes(head[27:30], "big")  # 20 bits of rate, 3 of channels less one
        return _words("FLAC", (packed >> 1 & 7) + 1, packed >> 4)
    if head[:8] == b"Speex   ":
        return _words("Speex", head[48], int.from_bytes(head[36:40], "little"))
    return "something else"


def _words(codec: str, channels: int, rate: int) -> str:
    return f"{codec} of {channels} channel{'s' if channels > 1 else ''} at {rate} Hz"
