"""Large bodies go past h11 uncopied, and nothing else changes: framing, short ends, early heads."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from stemwatch.errors import RetryLater
from stemwatch.job import Options
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import SeparationApi, Upload
from stemwatch.stemsplit.line import download
from stemwatch.stemsplit.line.sockets import SocketStream
from stemwatch.stemsplit.line.source import CHUNK, on_a_disk
from stemwatch.stemsplit.line.transport import STRAIGHT_BYTES
from stemwatch.stemsplit.presigned import PresignedApi
from stemwatch.stemsplit.separate import SeparateApi
from tests.support.counting import calls

MEGABYTE = 1024 * 1024
BODY = os.urandom(MEGABYTE // 2) * 8
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
OK = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def _serving(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The origin of a server whose connections are all over when this is."""
    over: list[asyncio.Event] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        over.append(asyncio.Event())
        ended = over[-1]
        try:
            await talk(reader, writer)
        except ConnectionError:
            pass  # a client that has enough hangs up
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            ended.set()

    server = await asyncio.start_server(one, "127.0.0.1", 0, limit=2 * len(BODY))
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for ended in over:
            await ended.wait()


async def _serve(pieces: Sequence[bytes], target: Path, times: int = 1) -> list[int]:
    """Fetch `target` from a server that sends just these pieces; returns each fetch's bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            while await reader.readline() != b"\r\n":
                pass
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01 if len(pieces) > 2 else 0)  # a packet each
            if b"Connection: close" in pieces[0]:
                break

    sizes = []
    async with _serving(talk) as origin:
        api = SeparateApi(Calls(origin, "key"))
        try:
            for _ in range(times):
                fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                try:
                    size = await api.download(
                        f"{origin}/stem",
                        fd,
                        limit=len(BODY),
                        deadline=20,
                        on_received=lambda _: None,
                    )
                finally:
                    os.close(fd)
                sizes.append(size)
        finally:
            await api.aclose()
    return sizes


CLOSED = OK + b"Connection: close\r\n"
CHUNKED = b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [OK + LENGTH + b"\r\n" + BODY],
        [OK + LENGTH + b"\r\n", BODY],
        [OK + LENGTH + b"\r\n" + BODY[:100], BODY[100:-7], BODY[-7:]],
        [OK, LENGTH + b"\r", b"\n" + BODY[:10], BODY[10:]],
        [OK, LENGTH + b"\r\n" + BODY],
        [b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + LENGTH + b"\r\n" + BODY],
        [b"HTTP/1.1 100 Continue\r\n\r\n", OK + LENGTH + b"\r\n", BODY],
        [b"HTTP/1.1 200 OK\n" + LENGTH + b"\n" + BODY],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED],
        [CLOSED + b"\r\n" + BODY],
        [CLOSED + LENGTH + b"\r\n" + BODY + b"more than was promised"],
    ],
    ids=[
        "at once",
        "head first",
        "in parts",
        "head in parts",
        "status line first",
        "early hints",
        "continue",
        "bare line ends",
        "chunked",
        "until the end",
        "more than promised",
    ],
)
def test_every_framing_gives_the_same_bytes(tmp_path: Path, pieces: list[bytes]) -> None:
    """However head and body are cut, framed or announced; a second time over the same client."""
    target = tmp_path / "stem"
    assert asyncio.run(_serve(pieces, target, times=2)) == [len(BODY), len(BODY)]
    assert target.read_bytes() == BODY


def test_a_body_that_breaks_off_is_short(tmp_path: Path) -> None:
    """A large one, too: half a stem must never pass for a whole one."""
    with pytest.raises(RetryLater) as caught:
        asyncio.run(_serve([CLOSED + LENGTH + b"\r\n" + BODY[:-1]], tmp_path / "stem"))
    assert caught.value.code == "short_body"


def test_a_download_costs_h11_its_head_only(tmp_path: Path) -> None:
    """h11 copies a body three times: its work must not grow with the body."""
    work = {}
    for size in (STRAIGHT_BYTES, 4 * STRAIGHT_BYTES):
        answer = OK + b"Content-Length: %d\r\n\r\n" % size
        with calls("h11") as count:
            asyncio.run(_serve([answer, BODY[:size]], tmp_path / "stem"))
        work[size] = count["h11"]
        assert count["h11"] > 0  # the head is h11's
    assert len(set(work.values())) == 1


async def _submit(api: SeparationApi, song: Path, hold: Callable[[], Awaitable[None]]) -> None:
    with song.open("rb") as file:
        await api.submit(
            Upload(file.fileno(), song.stat().st_size, song.name),
            Options(stems=2, format="wav"),
            idempotency_key="key",
            before_last_bytes=hold,
            on_sent=lambda _: None,
        )


def test_an_upload_is_read_once_in_large_pieces(tmp_path: Path) -> None:
    """One read, one frame of h11 and one look for an early answer per piece.

    And a byte of each 128 KiB, and the last one, to know whether its disk would have to be waited
    for; one more tells whether that disk can say so (a tmpfs can't).
    """
    song = tmp_path / "song.wav"
    song.write_bytes(BODY)
    with song.open("rb") as file:
        looks = CHUNK // (128 * 1024) + 1 if on_a_disk(file.fileno()) else 0
    taken = hashlib.sha256()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(left)
        start = body.index(BODY[:64])
        taken.update(body[start : start + len(BODY)])
        writer.write(OK + b'Content-Length: 14\r\n\r\n{"job_id":"j"}')
        await writer.drain()

    held: list[bool] = []

    async def once() -> None:
        async def at_once() -> None:
            before = tracemalloc.take_snapshot()
            ours = before.filter_traces([tracemalloc.Filter(True, "*/stemsplit/source.py")])
            held.append(sum(trace.size for trace in ours.traces) < CHUNK)

        async with _serving(talk) as origin:
            api = SeparateApi(Calls(origin, "key"))
            await _submit(api, song, at_once)
            await api.aclose()

    tracemalloc.start()
    try:
        with calls() as count:
            asyncio.run(once())
    finally:
        tracemalloc.stop()
    assert taken.digest() == hashlib.sha256(BODY).digest()
    pieces = len(BODY) // CHUNK
    assert count["pread"] == pieces
    assert count["preadv"] == pieces * looks + 1
    assert CHUNK >= 256 * 1024
    assert held == [True], "a song that waits for its slot keeps a piece in memory"


class _Seen:
    """Large pieces by identity, where they come into the process and where they leave it."""

    def __init__(self) -> None:
        self.came: list[object] = []  # kept: an id is used again once its piece is gone
        self.went: list[object] = []

    def copies(self) -> int:
        known = {id(piece) for piece in self.came}
        return sum(id(piece) not in known for piece in self.went if _size(piece) >= CHUNK // 8)


def _size(piece: object) -> int:
    assert isinstance(piece, bytes | memoryview)
    return len(piece)


@pytest.mark.parametrize("wire", [SeparateApi, PresignedApi])
def test_an_upload_is_not_copied_on_its_way(
    tmp_path: Path,
    wire: type[SeparateApi] | type[PresignedApi],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The very bytes that were read from the disk are those that the socket gets."""
    seen = _Seen()
    read, send = os.pread, SocketStream._send_some

    def pread(fd: int, size: int, offset: int) -> bytes:
        seen.came.append(piece := read(fd, size, offset))
        return piece

    async def send_some(self: SocketStream, view: memoryview, *rest: Any) -> int:
        seen.went.append(view.obj)
        return await send(self, view, *rest)

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(SocketStream, "_send_some", send_some)
    song = tmp_path / "song.wav"
    song.write_bytes(BODY)

    async def once() -> None:
        async def at_once() -> None:
            pass

        async with _serving(_taking) as origin:
            api = wire(Calls(origin, "key"))
            await _submit(api, song, at_once)
            await api.aclose()

    asyncio.run(once())
    assert sum(_size(piece) for piece in seen.came) == len(BODY)
    assert seen.copies() == 0


async def _taking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes any request, and answers on either wire."""
    origin = f"http://127.0.0.1:{writer.get_extra_info('sockname')[1]}"
    answer = {"job_id": "j", "uploadKey": "k", "uploadUrl": f"{origin}/put", "status": "QUEUED"}
    body = json.dumps(answer).encode()
    with suppress(asyncio.IncompleteReadError):  # until the client hangs up
        while head := (await reader.readuntil(b"\r\n\r\n")).lower():
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            writer.write(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()


def test_a_download_is_not_copied_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very bytes that the socket gave are those that the disk gets, in few trips to it.

    But for what came in one piece with the head.
    """
    seen, trips = _Seen(), []
    receive, write = SocketStream._receive, download._write

    def received(self: SocketStream, most: int) -> bytes:
        seen.came.append(piece := receive(self, most))
        return piece

    def written(fd: int, chunks: Sequence[memoryview]) -> int:
        trips.append(len(chunks))
        seen.went.extend(chunk.obj for chunk in chunks)
        return write(fd, chunks)

    monkeypatch.setattr(SocketStream, "_receive", received)
    monkeypatch.setattr(download, "_write", written)
    target = tmp_path / "stem"
    asyncio.run(_serve([OK + LENGTH + b"\r\n", BODY], target))
    assert target.read_bytes() == BODY
    assert seen.copies() <= 1
    assert len(trips) <= len(BODY) // (512 * 1024) + 1
