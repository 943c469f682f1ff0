"""The `stem` atom of an M4A file: put into `moov/udta` without moving a sample."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple


class _Box(NamedTuple):
    kind: bytes
    start: int
    body: int  # where its content begins
    end: int


def insert(path: str, content: bytes) -> None:
    """Add `content` as moov/udta/stem to the file at `path`, in place. Raises OSError.

    Only for files as the muxer leaves them, with the index at their end (ValueError): what follows
    the atom is moved, and an index in front of the samples says where they lie.
    """
    atom = _packed(b"stem", content)
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        top = list(_boxes(file, 0, end))
        if not top or top[-1].kind != b"moov":
            raise ValueError("the index of a stem file has to be its last box")
        moov = top[-1]
        inside = _boxes(file, moov.body, moov.end)
        udta = next((box for box in inside if box.kind == b"udta"), None)
        if udta is None:
            at, grown, atom = moov.end, [moov], _packed(b"udta", atom)
        else:
            at, grown = udta.end, [moov, udta]
        file.seek(at)
        behind = file.read()
        file.seek(at)
        file.write(atom + behind)
        for box in grown:
            file.seek(box.start)
            file.write(struct.pack(">I", box.end - box.start + len(atom)))


def _packed(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[_Box]:
    while at + 8 <= end:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        width = 8
        if length == 1:  # an hour of samples is more than 32 bits count
            (length,), width = struct.unpack(">Q", file.read(8)), 16
        elif length == 0:
            length = end - at
        if length < width or at + length > end:
            raise ValueError(f"a box of {length} bytes at {at} does not fit")
        yield _Box(kind, at, at + width, at + length)
        at += length
