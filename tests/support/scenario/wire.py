"""HTTP/1.1 by hand: requests read and answers written so that every byte can be wrong."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.scenario.link import PIECE, Link

BLOCK = 256 * 1024


@dataclass
class Request:
    """One request's head; its body is still on the wire until `body` is read."""

    method: str
    target: str
    headers: dict[str, str]
    reader: asyncio.StreamReader
    received: int = 0  # bytes of the body read so far
    uplink: Link | None = None  # the line on which the body comes
    path: str = field(init=False)
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        self.path = unquote(parts.path)
        self.query = dict(parse_qsl(parts.query))

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))

    async def body(self, limit: int | None = None) -> AsyncIterator[bytes]:
        """What is left of the body; stops after `limit` bytes. EOF in it is a ConnectionError."""
        end = self.length if limit is None else min(self.length, limit)
        while self.received < end:
            paced = self.uplink is not None and self.uplink.rate is not None
            most = PIECE if paced else BLOCK
            asked = self.uplink.clock() if self.uplink is not None else 0.0
            chunk = await self.reader.read(min(most, end - self.received))
            if not chunk:
                raise ConnectionResetError("the client hung up in the body")
            if self.uplink is not None:
                await self.uplink.carry(len(chunk), asked=asked)
            self.received += len(chunk)
            yield chunk

    async def drain(self) -> None:
        async for _ in self.body():
            pass


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request on a connection, None at its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    headers = {}
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
    return Request(method, target, headers, reader)


@dataclass
class Answer:
    """What a well-behaved server would say; a script's step may bend it on its way out."""

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None  # of a streamed body

    @classmethod
    def json(cls, status: int, data: Any, headers: Mapping[str, str] | None = None) -> Answer:
        kind = {"Content-Type": "application/json"}
        return cls(status, json.dumps(data).encode(), {**kind, **(headers or {})})


def head_bytes(answer: Answer, length: int | None) -> bytes:
    """Status line and headers; without a Content-Length where `length` is None."""
    lines = [f"HTTP/1.1 {answer.status} Scenario"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if length is not None and "Content-Length" not in answer.headers:
        lines.append(f"Content-Length: {length}")
    if length is None:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


async def send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    """Send it as it should be sent."""
    if isinstance(answer.body, bytes):
        writer.write(head_bytes(answer, len(answer.body)) + answer.body)
    else:
        writer.write(head_bytes(answer, answer.length))
        async for chunk in answer.body:
            writer.write(chunk)
            await writer.drain()
    await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Drop the connection with a RST: what was in flight is lost."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
