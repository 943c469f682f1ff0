"""A stem file as its players find it: boxes walked by the standard's text, without our own code."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class TrackBox(NamedTuple):
    """What a deck looks at. `samples` is the length in units of the track's own `rate`."""

    kind: bytes
    flags: int
    group: int
    codec: bytes
    channels: int
    rate: int
    samples: int


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box of `data`."""
    at = 0
    while at < len(data):
        length, kind, width = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if length == 1:
            length, width = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        assert width <= length <= len(data) - at, (kind, length)
        yield kind, data[at + width : at + length]
        at += length


def inside(data: bytes, *path: str) -> bytes:
    """The content of the one box at `path`."""
    for wanted in path:
        (data,) = (body for kind, body in boxes(data) if kind == wanted.encode())
    return data


def stem_json(path: Path) -> Any:
    return json.loads(inside(path.read_bytes(), "moov", "udta", "stem"))


def track_boxes(path: Path) -> list[TrackBox]:
    moov = inside(path.read_bytes(), "moov")
    return [_track(body) for kind, body in boxes(moov) if kind == b"trak"]


def _track(trak: bytes) -> TrackBox:
    tkhd, mdhd = inside(trak, "tkhd"), inside(trak, "mdia", "mdhd")
    assert tkhd[0] == mdhd[0] == 0, "small files have short headers"
    rate, samples = struct.unpack(">II", mdhd[12:20])
    stsd = inside(trak, "mdia", "minf", "stbl", "stsd")
    codec, entry = next(boxes(stsd[8:]))
    return TrackBox(
        kind=inside(trak, "mdia", "hdlr")[8:12],
        flags=int.from_bytes(tkhd[1:4], "big"),
        group=int.from_bytes(tkhd[34:36], "big"),
        codec=codec,
        channels=int.from_bytes(entry[16:18], "big"),
        rate=rate,
        samples=samples,
    )
