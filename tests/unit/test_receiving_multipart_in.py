"""The multipart reader, fed in pieces of every size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException

from stemwatch.receiving.multipart_in import Form, receive

CONTENT = bytes(range(256)) * 20 + b"\r\n--x\r\n--"  # looks like the boundary, nearly
TYPE = "multipart/form-data; boundary=xyz"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    more = "" if filename is None else f'; filename="{filename}"'
    head = f'--xyz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def read(body: bytes, path: Path, *, step: int = 65536, content_type: str = TYPE) -> Form:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), step):
            yield body[start : start + step]

    return asyncio.run(receive(chunks(), content_type, str(path)))


@pytest.mark.parametrize("step", [1, 7, 64, 65536])
def test_the_file_is_what_was_sent(tmp_path: Path, step: int) -> None:
    """To the byte, wherever the pieces are cut, in whatever order the parts come."""
    body = (
        part("stems", b"2") + part("audio", CONTENT, "C:\\Música\\é.mp3") + part("format", b"wav")
    )
    form = read(body + b"--xyz--\r\n", tmp_path / "a", step=step)
    assert form == Form({"stems": "2", "format": "wav"}, "é.mp3", len(CONTENT))
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_quotation_mark_in_a_name_is_one_again(tmp_path: Path) -> None:
    """Browsers send `12" mix.wav` so."""
    form = read(part("audio", CONTENT, "12%22 mix.wav") + b"--xyz--\r\n", tmp_path / "a")
    assert form.filename == '12" mix.wav'


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (part("audio", b"a", "a"), TYPE, 422),  # without the closing boundary
        (b"", TYPE, 422),
        (b"--xyz--\r\n", "application/json", 415),
        (b"--xyz--\r\n", "multipart/form-data", 415),
        (b"--xyz--\r\n", "multipart/form-data; boundary=" + "x" * 300, 422),
        (part("audio", b"a") + b"--xyz--", TYPE, 422),  # not a file
        (part("a", b"1") + part("a", b"1"), TYPE, 422),
        (b"".join(part(f"f{n}", b"") for n in range(17)), TYPE, 422),
        (b"--xyz\r\nX: " + b"y" * 100_000, TYPE, 422),
    ],
)
def test_bad_bodies_have_a_status(
    tmp_path: Path, body: bytes, content_type: str, status: int
) -> None:
    """Each fault is told to the client; none is a fault of the server."""
    with pytest.raises(HTTPException) as fault:
        read(body, tmp_path / "a", content_type=content_type)
    assert fault.value.status_code == status
