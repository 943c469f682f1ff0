"""The sound of WAV, RF64 and AIFF files: every chunk but those that are known to hold tags."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

from stemwatch.audio.containers.chunks import is_streamed
from stemwatch.audio.soundhash.listeners import Odd, SpanListener

_MOST_CHUNKS = 4_096
_BLOCK = 1 << 16  # bytes
_TAGS = frozenset(
    (
        *(b"id3 ", b"ID3 ", b"bext", b"iXML", b"axml", b"_PMX", b"cart", b"DISP", b"cue "),
        *(b"JUNK", b"junk", b"PAD ", b"FLLR", b"ds64"),  # padding; sizes
        *(b"NAME", b"AUTH", b"(c) ", b"ANNO", b"COMT"),  # of AIFF
        *(b"PEAK", b"levl"),  # its loudest samples, and when it was written
    )
)
_KEPT = frozenset((b"id3 ", b"ID3 ", b"ds64"))  # mutagen removes the first two itself
_TEXTS = (b"INFO", b"adtl")  # lists that hold words; another kind of list holds sound
_NEEDED = {"little": (b"fmt ", b"data"), "big": (b"COMM", b"SSND")}


class _Chunk(NamedTuple):
    name: bytes
    start: int  # of its content
    size: int


def chunk_listener(fd: int, size: int, head: bytes) -> SpanListener:
    """Hears all chunks but tags. Raises Odd where the sound has no certain end."""
    order = _order_of(head)
    chunks = [chunk for chunk in _chunks(fd, size, order) if not _is_tag(fd, chunk)]
    names = [chunk.name for chunk in chunks]
    if any(names.count(needed) != 1 for needed in _NEEDED[order]):
        raise Odd
    setup = [(b"chunk", chunk.name + chunk.size.to_bytes(8, "big")) for chunk in chunks]
    spans = [(chunk.start, chunk.start + chunk.size) for chunk in chunks if chunk.size]
    return SpanListener(f"chunks {order}", setup, spans)


def void_tags(path: str) -> None:
    """Turn all chunks that hold words, but ID3 tags, into empty padding; the rest stays."""
    with open(path, "r+b", buffering=0) as file:
        fd = file.fileno()
        order = _order_of(os.pread(fd, 12, 0))
        for chunk in list(_chunks(fd, os.fstat(fd).st_size, order)):
            if _is_tag(fd, chunk) and chunk.name not in _KEPT:
                os.pwrite(fd, b"JUNK", chunk.start - 8)
                for at in range(0, chunk.size, _BLOCK):
                    os.pwrite(fd, bytes(min(_BLOCK, chunk.size - at)), chunk.start + at)


def _order_of(head: bytes) -> Literal["little", "big"]:
    if head[:4] != b"FORM" and head[8:12] == b"WAVE":
        return "little"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "big"
    raise Odd


def _chunks(fd: int, end: int, order: Literal["little", "big"]) -> Iterator[_Chunk]:
    """All chunks, in order. Raises Odd unless they fill the file, but for a byte of padding."""
    at, size64 = 12, 0
    for _ in range(_MOST_CHUNKS):
        header = os.pread(fd, 8, at)
        if len(header) < 8:
            break
        name, size = header[:4], int.from_bytes(header[4:], order)
        if name == b"ds64":
            size64 = int.from_bytes(os.pread(fd, 8, at + 16), "little")
        elif name in (b"data", b"SSND"):
            if size == 0xFFFF_FFFF and size64:
                size = size64
            elif is_streamed(size):
                raise Odd  # it goes on to the end of the file, and tags may be behind it
        if at + 8 + size > end:
            raise Odd
        yield _Chunk(name, at + 8, size)
        at += 8 + size + (size & 1)
    if at < end:
        raise Odd


def _is_tag(fd: int, chunk: _Chunk) -> bool:
    if chunk.name == b"LIST":
        return os.pread(fd, 4, chunk.start) in _TEXTS
    return chunk.name in _TAGS
