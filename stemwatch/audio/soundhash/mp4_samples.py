"""The sound of an M4A or MP4 file: the samples of its one sound track, wherever they lie.

Sources: ISO/IEC 14496-12, and FFmpeg's reader for what it takes from tags (`iTunSMPB`).
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterator
from itertools import islice, pairwise

from stemwatch.audio.soundhash.listeners import Odd, SpanListener

_MOST_BOXES = 256
_LARGEST_INDEX = 8 << 20  # bytes: hours of sound have one
_PLACES = (b"stco", b"co64", b"stsc")  # where samples lie: a tag editor moves them

Box = tuple[bytes, bytes]


def mp4_listener(fd: int, size: int) -> SpanListener:
    """Hears the sound track. Raises Odd where there are several, or fragments."""
    index = list(_boxes(_index(fd, size)))
    tracks = [track for kind, track in index if kind == b"trak" and _is_sound(track)]
    if len(tracks) != 1 or any(kind == b"mvex" for kind, _ in index):
        raise Odd
    table = dict(_boxes(_inside(tracks[0], b"mdia", b"minf", b"stbl")))
    _require_own(_inside(tracks[0], b"mdia", b"minf", b"dinf", b"dref"))
    setup = [(kind, _scale(body)) for kind, body in index if kind == b"mvhd"]
    setup += [(b"mdhd", _scale(_inside(tracks[0], b"mdia", b"mdhd")))]
    setup += [(kind, body) for kind, body in _boxes(tracks[0]) if kind == b"edts"]
    setup += sorted((kind, body) for kind, body in table.items() if kind not in _PLACES)
    setup += [(b"gap", body) for body in _gaps(index)]
    return SpanListener("mp4", setup, _spans(table, size))


def _index(fd: int, size: int) -> bytes:
    """The content of the only `moov` of the file."""
    at, found = 0, b""
    for _ in range(_MOST_BOXES):
        header = os.pread(fd, 16, at)
        if at == size:
            return found
        length, kind, width = int.from_bytes(header[:4], "big"), header[4:8], 8
        if length == 1:
            length, width = int.from_bytes(header[8:16], "big"), 16
        elif length == 0:
            length = size - at
        if length < width or at + length > size or kind == b"moof":
            raise Odd
        if kind == b"moov":
            if found or length > _LARGEST_INDEX:
                raise Odd
            found = os.pread(fd, length - width, at + width)
        at += length
    raise Odd


def _boxes(data: bytes) -> Iterator[Box]:
    """Kind and content of each box in `data`; four bytes at the end may be a terminator."""
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8 or at + length > len(data):
            raise Odd
        yield data[at + 4 : at + 8], data[at + 8 : at + length]
        at += length


def _inside(data: bytes, *path: bytes) -> bytes:
    """The content of a box in a box; each has to be the only one of its kind."""
    for wanted in path:
        (data,) = (body for kind, body in _boxes(data) if kind == wanted)
    return data


def _is_sound(track: bytes) -> bool:
    return _inside(track, b"mdia", b"hdlr")[8:12] == b"soun"


def _scale(header: bytes) -> bytes:
    """Ticks a second, of a header that also holds times of change."""
    return header[20:24] if header[0] == 1 else header[12:16]


def _require_own(references: bytes) -> None:
    """Raise Odd unless the samples are in this very file."""
    if references[4:8] != bytes((0, 0, 0, 1)) or not references[19] & 1:
        raise Odd


def _gaps(index: list[Box]) -> Iterator[bytes]:
    """What tags say of silence that players leave out at the ends: FFmpeg does so, too."""
    for kind, body in index:
        if kind in (b"udta", b"meta") and b"iTunSMPB" in body:
            at = body.index(b"iTunSMPB") + 8
            length = int.from_bytes(body[at : at + 4], "big")
            if body[at + 4 : at + 8] != b"data" or body.count(b"iTunSMPB") > 1:
                raise Odd
            yield body[at : at + length]


def _spans(table: dict[bytes, bytes], size: int) -> list[tuple[int, int]]:
    """Where the chunks of samples lie, those that touch joined into one."""
    sizes = _sizes(table[b"stsz"])
    places = _numbers("Q", table[b"co64"][8:]) if b"co64" in table else None
    places = places if places is not None else _numbers("I", table[b"stco"][8:])
    counts = _counts(table[b"stsc"], len(places))
    if len(counts) != len(places) or sum(counts) != len(sizes):
        raise Odd
    spans: list[tuple[int, int]] = []
    taken = iter(sizes)
    for place, count in zip(places, counts, strict=True):
        end = place + sum(islice(taken, count))
        if end > size:
            raise Odd
        if spans and spans[-1][1] == place:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((place, end))
    return spans


def _sizes(body: bytes) -> array[int]:
    """Of each sample. One size for all is odd: in old files it counts something else than bytes."""
    sizes = _numbers("I", body[12:])
    if body[4:8] != bytes(4) or int.from_bytes(body[8:12], "big") != len(sizes) or not sizes:
        raise Odd
    return sizes


def _counts(body: bytes, chunks: int) -> array[int]:
    """How many samples each chunk holds."""
    runs = _numbers("I", body[8:])
    if runs[0] != 1 or any(kind != 1 for kind in runs[2::3]):
        raise Odd
    if any(first >= after for first, after in pairwise(runs[::3])):
        raise Odd  # runs that go back would be counted again and again: 2 MB took 40 GB
    if 0 in runs[1::3]:
        raise Odd  # no writer makes a chunk of nothing; 8 MB of them took 300 MB
    counts: array[int] = array("I")
    for at in range(0, len(runs), 3):
        end = min(runs[at + 3] if at + 3 < len(runs) else chunks + 1, chunks + 1)
        counts.extend(array("I", (runs[at + 1],)) * (end - runs[at]))
    return counts


def _numbers(code: str, data: bytes) -> array[int]:
    """Big-endian numbers. Raises ValueError where the last one is cut."""
    numbers: array[int] = array(code)
    numbers.frombytes(data)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
