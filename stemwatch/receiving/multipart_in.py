"""Receives a multipart upload and streams it to disk: memory stays flat whatever its size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from stemwatch.receiving.refusal import CutOff, Refused
from stemwatch.receiving.streaming import MAX_FILE, to_disk, too_large

OVERHEAD = 65_536  # bytes that the other parts and the boundaries of a body may take
MAX_FIELD = 4_096  # bytes
MAX_PARTS = 16


@dataclass(slots=True)
class Form:
    """What was sent: the text fields, and the file's own name and size in bytes."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    size: int = 0


async def receive(chunks: AsyncIterator[bytes], content_type: str, path: str) -> Form:
    """Write the field `audio` to `path`, synced, and return the rest of the form.

    Refused: 408 and 503 as `to_disk` does, 413, 415 for a body that is no multipart, 422 for one
    that is malformed; CutOff (422) for one that ends before its closing boundary. OSError from the
    disk passes through, and so does whatever the stream raises when the client is gone.
    """
    boundary = _boundary(content_type)
    try:
        parts = _Parts(boundary)
        await to_disk(_audio(chunks, parts), path)
    except FormParserError as fault:
        raise Refused(422, f"The multipart body is malformed: {fault}") from None
    if not parts.complete:
        raise CutOff(422, "The body ends before its closing boundary.")
    return parts.form


async def _audio(chunks: AsyncIterator[bytes], parts: _Parts) -> AsyncIterator[bytearray]:
    async for chunk in chunks:
        parts.write(chunk)
        del chunk  # a disk that is slow would have each upload keep it, beside what is taken
        yield parts.take()


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise Refused(415, "Send multipart/form-data with the file in the field 'audio'.")
    return boundary


def plain_name(name: str) -> str:
    """The last part of the path that a client gives, at most 255 characters; never empty."""
    return name.replace("\\", "/").rpartition("/")[2][:255] or "audio"


class _Parts:
    """The parser's callbacks: text fields are kept, audio is gathered until `take`."""

    def __init__(self, boundary: bytes) -> None:
        self.form = Form()
        self._audio = bytearray()
        self.complete = False
        self._count = 0
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._field: str | None = None
        self._text = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finished,
            },
        )

    def write(self, chunk: bytes) -> None:
        self._parser.write(chunk)

    def take(self) -> bytearray:
        """The file's bytes that have come since the last call."""
        taken, self._audio = self._audio, bytearray()
        return taken

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise Refused(422, "The form has too many parts.")
        self._headers = {}
        self._name = self._value = b""
        self._text = bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        if self._field != "audio":
            if self._field in self.form.fields:
                raise Refused(422, f"The field {self._field!r} was sent twice.")
            return
        if self.form.filename is not None:
            raise Refused(422, "The field 'audio' was sent twice.")
        if b"filename" not in options:
            raise Refused(422, "The field 'audio' must be a file.")
        # Browsers and httpx write a quotation mark so (HTML standard, "multipart/form-data"):
        # `12" mix.wav` would become a song of another name.
        name = options[b"filename"].decode("utf-8", "replace").replace("%22", '"')
        self.form.filename = plain_name(name)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field == "audio":
            self.form.size += end - start
            if self.form.size > MAX_FILE:
                raise too_large()
            self._audio += data[start:end]
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD:
            raise Refused(422, f"The field {self._field!r} is too long.")

    def _end(self) -> None:
        if self._field != "audio" and self._field is not None:
            self.form.fields[self._field] = self._text.decode("utf-8", "replace")

    def _finished(self) -> None:
        self.complete = True
