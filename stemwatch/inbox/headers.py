"""Reads a container's header: does it say that bytes of the file are missing?

A few short reads tell. The type is known by the file's first bytes (the magic), not by its name. A
file of unknown type counts as complete: the probe says later what it is.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

from stemwatch.audio.containers import id3v2
from stemwatch.audio.containers.chunks import is_streamed
from stemwatch.audio.containers.mpeg_headers import HEAD as MPEG_HEAD
from stemwatch.audio.containers.mpeg_headers import kind_of, told_by
from stemwatch.audio.containers.ogg_pages import LONGEST_PAGE, ending

HEAD = 4096
_MAX_BOXES = 256  # 16 bytes each
_RIFF = frozenset({b"RIFF", b"RF64", b"BW64", b"FORM"})  # FORM: AIFF, the same in big-endian
_TOP_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra"})


class Lack(NamedTuple):
    """What is missing, in one sentence.

    `sure`: the file can't be whole. Otherwise it may be, since some recorders never write an end:
    it is worth a wait, but no reason for a rejection.
    """

    message: str
    sure: bool = True


class _File(NamedTuple):
    fd: int
    head: bytes  # the first bytes after an ID3 tag, up to `HEAD`
    offset: int  # where they begin
    size: int


def look(fd: int) -> Lack | None:
    """What the regular file `fd` lacks; None: it looks complete. Reads at most 72 KiB of it."""
    size = os.fstat(fd).st_size
    if size == 0:
        return Lack("the file is empty")
    head = os.pread(fd, HEAD, 0)
    if offset := id3v2.length(head):
        if offset >= size:
            return Lack(f"its ID3 tag ends at byte {offset:,} and the file at {size:,}")
        head = os.pread(fd, HEAD, offset)
    if not head.strip(b"\0"):
        return Lack("it begins with nothing but zero bytes", sure=False)
    file = _File(fd, head, offset, size)
    for is_it, check in _CHECKS:
        if is_it(head) and (lack := check(file)) is not None:
            return lack
    return _hole(file)


def _hole(file: _File) -> Lack | None:
    """The first hole in the file, if any: a part that was never written.

    Explorer sets a file's length before it copies, and through Samba the rest is a hole. Silence in
    a WAV may be a hole too, since ZFS and btrfs store zeros so; no compressed file ends in one.
    """
    try:
        hole = os.lseek(file.fd, 0, os.SEEK_HOLE)
        if hole >= file.size:
            return None
        after = os.lseek(file.fd, hole, os.SEEK_DATA)
    except OSError as fault:
        if fault.errno != errno.ENXIO:  # this file system does not report holes
            return None
        after = file.size
    sure = after >= file.size and file.head[:4] not in _RIFF
    return Lack(f"nothing was written from byte {hole:,} to {after:,}", sure=sure)


def _riff(file: _File) -> Lack | None:
    kind = file.head[:4]
    if len(file.head) < 12:
        return Lack("its RIFF header is cut off")
    promised = int.from_bytes(file.head[4:8], "big" if kind == b"FORM" else "little")
    if kind in (b"RF64", b"BW64") and file.head[12:16] == b"ds64" and len(file.head) >= 28:
        promised = int.from_bytes(file.head[20:28], "little")
    elif is_streamed(promised):
        return None
    # One byte less is complete: some writers count a padding byte and don't write it.
    return _short(
        file.offset + 8 + promised - 1, file.size, "RIFF header", shown=file.offset + 8 + promised
    )


def _flac(file: _File) -> Lack | None:
    at = 4
    for _ in range(128):
        block = os.pread(file.fd, 4, file.offset + at)
        if len(block) < 4:
            return Lack("its FLAC header is cut off")
        at += 4 + int.from_bytes(block[1:4], "big")
        if block[0] & 0x80:
            break
    if file.offset + at >= file.size:
        return Lack("its FLAC header is cut off")
    return None


def _ogg(file: _File) -> Lack | None:
    start = max(0, file.size - LONGEST_PAGE)
    last = ending(os.pread(file.fd, file.size - start, start))
    if not last.whole:
        return Lack("its last Ogg page is cut off")
    if not last.marked:
        # Recorders of live streams never set the mark, so this alone proves nothing.
        return Lack("its last Ogg page is not marked as the end of the stream", sure=False)
    return None


def _mp4(file: _File) -> Lack | None:
    at, moov = file.offset, False
    for _ in range(_MAX_BOXES):
        box = os.pread(file.fd, 16, at)
        if len(box) < 8:
            break
        length = int.from_bytes(box[:4], "big")
        kind = box[4:8]
        if length == 1:
            length = int.from_bytes(box[8:16], "big") if len(box) == 16 else 0
        elif length == 0 and kind != bytes(4):
            length = file.size - at  # the box goes to the end of the file
        if length < 8:
            break  # padding or garbage
        moov = moov or kind == b"moov"
        if at + length > file.size:
            if moov and kind not in _TOP_BOXES:
                break  # a tag that somebody appended
            return _short(at + length, file.size, f"MP4 box {kind.decode('latin-1')!r}")
        at += length
    else:
        return None  # a long fragmented file: the first boxes are enough
    return None if moov else Lack("its MP4 index (moov) is missing")


def _matroska(file: _File) -> Lack | None:
    at = 0
    cut = Lack("its Matroska header is cut off")
    for _ in range(8):
        element, length = _vint(file.head, at, keep_marker=True)
        value, width = _vint(file.head, at + length, keep_marker=False)
        if not length or not width:
            return cut if at + 12 >= file.size - file.offset else None
        at += length + width
        unknown = value == (1 << (7 * width)) - 1
        if element == 0x18538067:
            return (
                None if unknown else _short(file.offset + at + value, file.size, "Matroska segment")
            )
        at += value
        if file.offset + at >= file.size:
            return cut
    return None


def _mp3(file: _File) -> Lack | None:
    """Compare the size with the byte count in a Xing or Info frame.

    It is never sure: some editors cut a file and leave the count as it was.
    """
    kind = kind_of(file.head[:MPEG_HEAD])
    told = told_by(file.head, kind) if kind else None
    if told is None or not told.size:
        return None
    lack = _short(file.offset + told.size, file.size, "MP3 header")
    return lack and lack._replace(sure=False)


def _short(needed: int, size: int, what: str, *, shown: int = 0) -> Lack | None:
    if needed <= size:
        return None
    return Lack(f"its {what} promises {shown or needed:,} bytes and there are {size:,}")


def _vint(data: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """The EBML number at `at` and its width in bytes; width 0: there is none, or it is cut off."""
    if at >= len(data) or data[at] == 0:
        return 0, 0
    width = 9 - data[at].bit_length()
    if at + width > len(data):
        return 0, 0
    value = int.from_bytes(data[at : at + width], "big")
    return value if keep_marker else value & ((1 << (7 * width)) - 1), width


_Check = Callable[[_File], Lack | None]
_CHECKS: tuple[tuple[Callable[[bytes], bool], _Check], ...] = (
    (lambda head: head[:4] in _RIFF, _riff),
    (lambda head: head[:4] == b"fLaC", _flac),
    (lambda head: head[:4] == b"OggS", _ogg),
    (lambda head: head[4:8] in _TOP_BOXES, _mp4),
    (lambda head: head[:4] == b"\x1a\x45\xdf\xa3", _matroska),
    (lambda head: head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE0 == 0xE0, _mp3),
)
