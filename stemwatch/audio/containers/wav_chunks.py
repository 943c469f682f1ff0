"""Edits the chunks of a WAV in place: its header, its padding, its LIST INFO. Not of RF64."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

_MOST_CHUNKS = 4_096
_PCM, _EXTENSIBLE = 1, 0xFFFE
_EXTENSION = 24  # bytes by which the header of WAVE_FORMAT_EXTENSIBLE is longer
_PCM_SUBFORMAT = bytes.fromhex("0100000000001000800000aa00389b71")
_FIELDS = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "date": b"ICRD",
    "genre": b"IGNR",
    "tracknumber": b"ITRK",
    "comment": b"ICMT",
    "composer": b"IMUS",
    "bpm": b"IBPM",
}


class Chunk(NamedTuple):
    """`at` is where its header begins; `size` is without header and padding."""

    id: bytes
    at: int
    size: int

    @property
    def end(self) -> int:
        """Where the next one begins: chunks lie at even places."""
        return self.at + 8 + self.size + (self.size & 1)


def plain_header(file: BinaryIO) -> None:
    """Make the header of a stereo or mono file of PCM a plain one.

    FFmpeg writes WAVE_FORMAT_EXTENSIBLE for more than 16 bits or 48 kHz, which some players refuse.
    The place that is saved becomes a chunk that every reader passes over.
    """
    for chunk in _chunks(file):
        if chunk.id != b"fmt " or chunk.size != 16 + _EXTENSION:
            continue
        file.seek(chunk.at + 8)
        head = file.read(chunk.size)
        word = [int.from_bytes(head[at : at + 2], "little") for at in (0, 2, 14, 18)]
        form, channels, bits, valid = word
        if form == _EXTENSIBLE and channels <= 2 and bits == valid and head[24:] == _PCM_SUBFORMAT:
            plain = _PCM.to_bytes(2, "little") + head[2:16]
            file.seek(chunk.at)
            file.write(b"fmt " + _size(16) + plain + b"JUNK" + _size(16) + bytes(16))
        return


def pad_samples(file: BinaryIO) -> None:
    """Give samples of an odd size the byte behind them that they lack at the file's end.

    Without it what is written behind them lies where no reader looks.
    """
    end = _length(file)
    for chunk in _chunks(file):
        if chunk.id == b"data" and chunk.end == end + 1:
            file.seek(end)
            file.write(b"\0")
            _tell_length(file)


def write_info(file: BinaryIO, text: Mapping[str, tuple[str, ...]]) -> None:
    """Put `text` (our names of fields) into a LIST INFO behind the samples, in place of others.

    Readers such as minidlna know nothing else. All chunks behind the samples come to even places.
    """
    chunks = list(_chunks(file))
    samples = next((chunk for chunk in chunks if chunk.id == b"data"), None)
    if samples is None or samples.end > _length(file):
        return
    kept = []
    for chunk in chunks:
        if _is_info(file, chunk) and chunk.at < samples.at:
            file.seek(chunk.at)
            file.write(b"JUNK")
        elif chunk.at > samples.at and chunk.id != b"JUNK" and not _is_info(file, chunk):
            file.seek(chunk.at + 8)
            kept.append(_padded(chunk.id, file.read(chunk.size)))
    file.seek(samples.end)
    file.write(_padded(b"LIST", b"INFO" + b"".join(_fields(text))))
    file.writelines(kept)
    file.truncate()
    _tell_length(file)


def _fields(text: Mapping[str, tuple[str, ...]]) -> Iterator[bytes]:
    for name, mark in _FIELDS.items():
        if values := text.get(name):
            yield _padded(mark, "; ".join(values).encode() + b"\0")


def _padded(mark: bytes, content: bytes) -> bytes:
    return mark + _size(len(content)) + content + bytes(len(content) & 1)


def _is_info(file: BinaryIO, chunk: Chunk) -> bool:
    file.seek(chunk.at + 8)
    return chunk.id == b"LIST" and file.read(4) == b"INFO"


def _chunks(file: BinaryIO) -> Iterator[Chunk]:
    """The chunks of a RIFF file; none of any other file."""
    if not _is_wave(file):
        return
    at = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return
        chunk = Chunk(header[:4], at, int.from_bytes(header[4:], "little"))
        yield chunk
        at = chunk.end


def _is_wave(file: BinaryIO) -> bool:
    file.seek(0)
    head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WAVE"


def _tell_length(file: BinaryIO) -> None:
    end = _length(file)
    file.seek(4)
    file.write(_size(end - 8))


def _length(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _size(count: int) -> bytes:
    return count.to_bytes(4, "little")
