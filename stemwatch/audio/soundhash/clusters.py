"""The sound of a Matroska or WebM file: its tracks and its clusters, without tags and pictures.

Source: RFC 9559. All tracks are hashed, and clusters byte by byte.
"""

from __future__ import annotations

from stemwatch.audio.soundhash.listeners import Listener, Odd

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_INFO, _TRACKS, _CLUSTER = 0x1549A966, 0x1654AE6B, 0x1F43B675
_SCALE = 0x2AD7B1
# SeekHead, Void, CRC-32, Cues, Tags, Attachments, Chapters: no sound.
_BESIDE = frozenset((0x114D9B74, 0xEC, 0xBF, 0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770))
_LONGEST_HEADER = 12  # bytes
_LARGEST_INFO = 1 << 16  # bytes


class ClusterListener(Listener):
    """Hears an ordinary file; one without sizes, as of a live stream, is odd."""

    def __init__(self) -> None:
        super().__init__("matroska")
        self._head = bytearray()  # of the element that begins
        self._kind = 0
        self._left = 0  # bytes of this element that are still to come
        self._in_segment = False
        self._to_come = -1  # bytes of the segment behind this element
        self._info: bytearray | None = None
        self._tracks = self._clusters = 0

    def _hear(self, block: memoryview) -> None:
        at = 0
        while at < len(block):
            if self._left:
                body = block[at : at + self._left]
                self._left -= len(body)
                self._body(body)
                at += len(body)
            else:
                self._head.append(block[at])
                at += 1
                if (found := _header(self._head)) is not None:
                    self._element(*found, len(self._head))
                    self._head.clear()

    def _element(self, kind: int, size: int, header: int) -> None:
        if not self._in_segment:
            self._in_segment = kind == _SEGMENT
            if self._in_segment:
                self._to_come = size
            elif kind == _EBML:
                self._kind, self._left = kind, size
            else:
                raise Odd
            return
        self._to_come -= header + size
        if self._to_come < 0:
            raise Odd
        self._kind, self._left = kind, size
        if kind in (_TRACKS, _CLUSTER):
            self._tracks += kind == _TRACKS
            self._clusters += kind == _CLUSTER
            self._digest.update(b"element %d %d\0" % (kind, size))
        elif kind == _INFO and self._info is None and size <= _LARGEST_INFO:
            self._info = bytearray()
        elif kind not in _BESIDE:
            raise Odd

    def _body(self, body: memoryview) -> None:
        if self._kind in (_TRACKS, _CLUSTER):
            self._digest.update(body)
        elif self._kind == _INFO and self._info is not None:
            self._info += body
            if not self._left:
                self.add(b"scale", _scale(bytes(self._info)))

    def _is_whole(self) -> bool:
        whole = self._to_come == 0 and not self._left and not self._head
        return whole and self._tracks == 1 and self._clusters > 0 and self._info is not None


def _header(head: bytearray) -> tuple[int, int] | None:
    """Kind and size of the element whose header this is; None: more bytes are to come."""
    width = 9 - head[0].bit_length()
    if width > 4 or len(head) > _LONGEST_HEADER:
        raise Odd
    if len(head) <= width:
        return None
    digits = 9 - head[width].bit_length()
    if digits > 8:
        raise Odd
    if len(head) < width + digits:
        return None
    limit = (1 << 7 * digits) - 1
    size = int.from_bytes(head[width:], "big") & limit
    if size == limit:
        raise Odd
    return int.from_bytes(head[:width], "big"), size


def _scale(info: bytes) -> bytes:
    """Nanoseconds in a tick, as they are written; empty: the usual million."""
    at = 0
    while at < len(info):
        head = bytearray()
        while (found := _header(head + info[at : at + 1])) is None:
            head += info[at : at + 1]
            at += 1
            if at >= len(info):  # the last header is cut off: no byte would ever complete it
                raise Odd
        at += 1
        if found[0] == _SCALE:
            return info[at : at + found[1]]
        at += found[1]
    return b""
