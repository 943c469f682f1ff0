"""Multipart uploads parsed as they arrive: hashed, measured, never held in memory."""

from __future__ import annotations

import hashlib
import re
import struct
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import IO

_HEAD = 4096  # bytes kept of a WAV file: its header says how long it is


class FormError(Exception):
    """Not a multipart body, or one without its end."""


@dataclass
class Form:
    """An upload, whole. `audio` is the file on disk, unless it is a WAV (its head says enough)."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    sha256: str = ""
    size: int = 0
    head: bytes = b""
    audio: IO[bytes] | None = None

    def keep(self, piece: bytes) -> None:
        """Add to the file that is to be probed; a WAV needs none."""
        if self.head[:4] != b"RIFF" and piece:
            self.audio = self.audio or tempfile.TemporaryFile()  # noqa: SIM115
            self.audio.write(piece)

    def close(self) -> None:
        if self.audio is not None:
            self.audio.close()

    def duration(self, default: float) -> float:
        """Seconds of audio, from the file itself where that can be told."""
        if self.head[:4] == b"RIFF":
            return _wav_seconds(self.head, self.size) or default
        if self.audio is not None:
            return _probed_seconds(self.audio) or default
        return default


async def parse_form(chunks: AsyncIterator[bytes], content_type: str, *, keep: bool) -> Form:
    """Read a form; `keep` stores audio that is not WAV in a temporary file, to be probed."""
    form = Form()
    try:
        await _parse(form, chunks, content_type, keep=keep)
    except BaseException:  # the client went away: nobody else closes it
        form.close()
        raise
    return form


async def _parse(
    form: Form, chunks: AsyncIterator[bytes], content_type: str, *, keep: bool
) -> None:
    match = re.search(r'boundary="?([^";]+)', content_type)
    if match is None:
        raise FormError("no boundary")
    delimiter = b"\r\n--" + match[1].encode()
    source = aiter(chunks)
    digest = hashlib.sha256()
    data = b"\r\n"  # so that the first boundary looks like every other
    part: dict[str, str] | None = None
    text = b""

    def take(piece: bytes) -> None:
        nonlocal text
        if part is None:
            return
        if "filename" not in part:
            text += piece
            return
        digest.update(piece)
        form.head = (form.head + piece)[:_HEAD] if len(form.head) < _HEAD else form.head
        form.size += len(piece)
        if keep:
            form.keep(piece)

    while True:
        at = data.find(delimiter)
        if at < 0:
            safe = max(0, len(data) - len(delimiter))
            take(data[:safe])
            data = data[safe:] + await _more(source)
            continue
        take(data[:at])
        if part is not None and "filename" in part:
            form.filename = part["filename"]
        elif part is not None:
            form.fields[part.get("name", "")] = text.decode("utf-8", "replace")
        data, text = data[at + len(delimiter) :], b""
        while b"\r\n\r\n" not in data and not data.startswith(b"--"):
            data += await _more(source)
        if data.startswith(b"--"):
            break
        header, _, data = data.partition(b"\r\n\r\n")
        part = dict(re.findall(r'(\w+)="([^"]*)"', header.decode("utf-8", "replace")))
    async for _ in source:  # the last line end
        pass
    form.sha256 = digest.hexdigest()


async def _more(source: AsyncIterator[bytes]) -> bytes:
    try:
        return await anext(source)
    except StopAsyncIteration:
        raise FormError("the body has no closing boundary") from None


def _wav_seconds(head: bytes, size: int) -> float | None:
    rate = None
    at = 12
    while at + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, at)
        if name == b"fmt " and at + 20 <= len(head):
            (rate,) = struct.unpack_from("<I", head, at + 16)  # bytes a second
        if name == b"data":
            return min(length, size - at - 8) / rate if rate else None
        at += 8 + length + (length & 1)
    return None


def _probed_seconds(audio: IO[bytes]) -> float | None:
    import av

    audio.seek(0)
    try:
        with av.open(audio, "r") as container:
            stream = container.streams.audio[0]
            end = 0.0
            for packet in container.demux(stream):
                if packet.pts is not None and packet.time_base:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            return end or None
    except (av.FFmpegError, IndexError):
        return None
