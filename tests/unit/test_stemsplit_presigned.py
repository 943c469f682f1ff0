"""Wire B's file names with their tokens, and a JSON body that costs only with its last byte."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import uuid

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwatch.stemsplit.line.body import JsonBody
from stemwatch.stemsplit.line.sockets import SocketStream
from stemwatch.stemsplit.presigned import named_with, token_of

KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "sw-0123456789abcdef0123"  # noqa: S105 - in a file name for all to see


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("song.mp3", f"song [{TOKEN}].mp3"),
        ("song", f"song [{TOKEN}]"),
        ("", f" [{TOKEN}]"),
        (".mp3", f" [{TOKEN}].mp3"),
        ("song.", f"song [{TOKEN}]."),
        ("a.b.flac", f"a.b [{TOKEN}].flac"),
        ("folder/song.mp3", f"song [{TOKEN}].mp3"),
        ("vol. 2 of something", f"vol. 2 of something [{TOKEN}]"),  # no extension
        ("Ünïcødé 🎵.wav", f"Ünïcødé 🎵 [{TOKEN}].wav"),
        (os.fsdecode(b"caf\xe9.ogg"), f"caf\ufffd [{TOKEN}].ogg"),
        ("x" * 5000 + ".mp3", "x" * 120 + f" [{TOKEN}].mp3"),
        ("🎵" * 5000, "🎵" * 120 + f" [{TOKEN}]"),
        (f"song [{TOKEN[:-1]}].mp3", f"song [{TOKEN[:-1]}] [{TOKEN}].mp3"),
    ],
)
def test_a_name_stays_readable_around_its_token(name: str, expected: str) -> None:
    """Its extension last, for a server that reads the format there."""
    assert named_with(name, KEY) == expected


@given(st.binary(max_size=255))
def test_any_file_name_carries_its_token_in_text(name: bytes) -> None:
    """Whatever bytes a disk has for a name, it can be sent, and is found again by its token."""
    named = named_with(os.fsdecode(name), KEY)
    assert TOKEN in json.loads(json.dumps(named))
    assert named.encode()
    assert len(named) < 200


def test_tokens_are_words_that_tell_submissions_apart() -> None:
    """Letters, digits and a dash: no server has to change them to make a file name of it."""
    keys = [uuid.uuid4().hex for _ in range(200)]
    tokens = {token_of(key) for key in keys}
    assert len(tokens) == len(keys)
    assert all(set(token) <= set("sw-0123456789abcdef") and len(token) == 23 for token in tokens)
    assert not any(token_of(keys[0]) in named_with("song.mp3", key) for key in keys[1:])


# -- the body -----------------------------------------------------------------------------------


async def pieces(body: JsonBody, stream: SocketStream) -> list[tuple[bytes, bool]]:
    """What is sent, piece by piece, and whether it may cost anything when it is under way."""
    body.stream = stream
    await stream.write(b"POST /jobs HTTP/1.1\r\n\r\n")
    sent = []
    async for piece in body:
        sent.append((piece, body.whole))
        await stream.write(piece)
    return sent


def test_a_json_body_is_never_whole_before_its_last_byte() -> None:
    """Up to the last brace nobody can have accepted it, so a fault until then costs nothing."""

    async def send() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            stream = SocketStream(ours)
            data = {"fileName": "Ü 🎵.mp3", "uploadKey": "k" * 5000, "metadata": {"a": {}}}
            body = JsonBody(data)
            assert not body.whole
            sent = await pieces(body, stream)
            assert [whole for _, whole in sent] == [False, False]
            assert body.whole
            raw = b"".join(piece for piece, _ in sent)
            assert json.loads(raw) == data
            assert body.headers["Content-Length"] == str(len(raw))
            assert sent[-1][0] == b"}"
            with pytest.raises(ValueError, match="delimiter"):
                json.loads(b"".join(piece for piece, _ in sent[:-1]))

    asyncio.run(send())


@pytest.mark.parametrize("how", ["answered", "gone"])
def test_the_last_byte_is_kept_from_who_does_not_listen(how: str) -> None:
    """A server that has refused already, or has hung up, would leave us in doubt for nothing."""

    async def send() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            body = JsonBody({"uploadKey": "k"})
            body.stream = SocketStream(ours)
            left = aiter(body)
            await body.stream.write(await anext(left))
            if how == "answered":
                theirs.sendall(b"HTTP/1.1 402 X\r\n\r\n")
            else:
                theirs.shutdown(socket.SHUT_WR)
            with pytest.raises(httpcore.WriteError):
                await anext(left)
            assert not body.whole

    asyncio.run(send())


def test_a_body_without_its_connection_is_not_sent() -> None:
    """Nobody could tell whether its last byte went out."""

    async def send() -> None:
        body = JsonBody({"uploadKey": "k"})
        pieces = aiter(body)
        assert await anext(pieces) == b'{"uploadKey": "k"'
        with pytest.raises(httpcore.WriteError):
            await anext(pieces)
        assert not body.whole

    asyncio.run(send())
