"""The sound of an Ogg file (Vorbis, Opus, FLAC): all packets but the comments.

Page numbers, checksums and how the comments are spread over pages are left out, since a tag editor
changes them. Pages of sound stay as they are, and their times trim the song: they are hashed so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from stemwatch.audio.soundhash.listeners import Listener, Odd

_HEADER = 27  # bytes
_FIRST = 2  # a flag of a page
_MOST_PIECES = 2 * 255  # of a page, and of one before it that has no body


class PageListener(Listener):
    """Hears one recording of one stream; several, side by side or in a chain, are odd."""

    def __init__(self) -> None:
        super().__init__("ogg")
        self._head = bytearray()  # of the page that begins
        self._left = 0  # bytes of this page's body that are still to come
        self._serial: bytes | None = None
        self._headers = 0  # packets before the first page of sound; 0: not known yet
        self._packet = 0  # which packet comes next, of the headers
        self._pieces: deque[tuple[int, bool]] = deque()  # of the page: its length, is it the last
        self._beginning = bytearray()  # of this header packet
        self._sounds = False  # pages of sound have come
        self._is_vorbis = False
        self._comments = b""  # what the packet of comments begins with

    def _hear(self, block: memoryview) -> None:
        at = 0
        while at < len(block):
            if self._left:
                body = block[at : at + self._left]
                self._left -= len(body)
                self._body(body)
                at += len(body)
            else:
                needed = self._needed() - len(self._head)
                self._head += block[at : at + needed]
                at += min(needed, len(block) - at)
                if len(self._head) >= _HEADER and len(self._head) == self._needed():
                    self._page(bytes(self._head))
                    self._head.clear()

    def _needed(self) -> int:
        return _HEADER + (self._head[26] if len(self._head) >= _HEADER else 0)

    def _page(self, head: bytes) -> None:
        flags, granule, serial, lacing = head[5], head[6:14], head[14:18], head[_HEADER:]
        begins = self._serial is None
        if head[:5] != b"OggS\0" or begins != bool(flags & _FIRST):
            raise Odd
        if not begins and serial != self._serial:
            raise Odd
        self._serial, self._left = serial, sum(lacing)
        if self._headers and self._packet == self._headers:
            self._sounds = True
            self.add(b"page", bytes((flags,)) + granule + lacing)
        else:
            self._pieces.extend(_pieces(lacing))
            if len(self._pieces) > _MOST_PIECES:  # of pages without a body, they would pile up
                raise Odd

    def _body(self, body: memoryview) -> None:
        if self._sounds:
            self._digest.update(body)
            return
        while len(body):
            if not self._pieces or (self._headers and self._packet == self._headers):
                raise Odd  # sound on the page of a header
            length, ends = self._pieces.popleft()
            piece, body = body[:length], body[length:]
            if len(piece) < length:
                self._pieces.appendleft((length - len(piece), ends))
            self._header(piece, ends and len(piece) == length)

    def _header(self, piece: memoryview, ends: bool) -> None:
        if len(self._beginning) < 255:
            self._beginning += piece[:255]
        if self._is_vorbis and self._packet == 2:
            self._digest.update(piece)  # the codebooks; the sound behind them fixes their length
        if not ends:
            return
        if self._packet == 0:
            self._named(bytes(self._beginning))
        elif self._packet == 1 and not self._beginning.startswith(self._comments):
            raise Odd
        self._packet += 1
        self._beginning.clear()

    def _named(self, first: bytes) -> None:
        """The stream's first packet: what the codec is, and all but its tables."""
        if len(first) >= 255 or self._pieces:
            raise Odd
        if first[:7] == b"\x01vorbis":
            self._headers, self._comments, self._is_vorbis = 3, b"\x03vorbis", True
        elif first[:8] == b"OpusHead":
            self._headers, self._comments = 2, b"OpusTags"
        elif first[:5] == b"\x7fFLAC" and first[9:13] == b"fLaC":
            self._headers = 1 + int.from_bytes(first[7:9], "big")
            if self._headers == 1 or (first[13 + 4 + 12] >> 1 & 7) + 1 > 2:
                raise Odd  # how many is not told; or a tag may say which speaker a channel is for
            first = first[:7] + first[9:]  # a tag editor may add a header
        else:
            raise Odd
        self.add(b"codec", first)

    def _is_whole(self) -> bool:
        return self._sounds and not self._left and not self._head


def _pieces(lacing: Iterable[int]) -> list[tuple[int, bool]]:
    """The pieces of packets on a page: their lengths, and whether the packet ends there."""
    pieces, length, open_ = [], 0, False
    for value in lacing:
        length, open_ = length + value, value == 255
        if not open_:
            pieces.append((length, True))
            length = 0
    return [*pieces, (length, False)] if open_ else pieces
