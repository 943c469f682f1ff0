"""Presigned uploads without a server: their time, and the end of what nobody used."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from stemwatch.receiving.refusal import Refused
from stemwatch.server.http.signing import Signer
from stemwatch.server.http.tickets import UNUSED, Ticket, Tickets
from tests.support.waiting import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tickets(tmp_path: Path, clock: Clock) -> Tickets:
    signer = Signer(b"s" * 32, root="/api/v1/uploads", ttl=900, now=clock)
    return Tickets(str(tmp_path / "uploads"), signer, now=clock)


def sent(tickets: Tickets, ticket: Ticket) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"au"
        yield b"dio"

    _, upload, name = ticket.key.split("/")
    asyncio.run(tickets.receive(upload, name, chunks()))
    return tickets.find(ticket.key)


def test_a_ticket_is_good_for_its_time(tickets: Tickets, clock: Clock) -> None:
    """To the second, for the file and the type it was made for."""
    ticket = tickets.issue("Song.MP3", "audio/mpeg")
    _, upload, name = ticket.key.split("/")
    query = dict(parse_qsl(urlsplit(ticket.path).query))
    assert (name, ticket.expires) == ("input.mp3", 1900)
    clock.now = 1900.0
    tickets.check(upload, name, query, "audio/mpeg")
    clock.now = 1900.5
    with pytest.raises(Refused, match="expired"):
        tickets.check(upload, name, query, "audio/mpeg")


def test_a_file_can_be_sent_again(tickets: Tickets) -> None:
    """A repeated PUT replaces the file, and nothing but the file is left."""
    ticket = tickets.issue("a.wav", "audio/wav")
    path = Path(sent(tickets, ticket))
    path.write_bytes(b"older")
    assert sent(tickets, ticket) == str(path)
    assert (path.read_bytes(), os.listdir(path.parent)) == (b"audio", ["input.wav"])


def test_what_nobody_used_goes(tickets: Tickets, clock: Clock, tmp_path: Path) -> None:
    """After an hour, halves and strangers included; what is still being sent stays."""
    old, growing = (tickets.issue("a.wav", "audio/wav") for _ in range(2))
    paths = [Path(sent(tickets, one)) for one in (old, growing)]
    (tmp_path / "uploads" / "stray").write_bytes(b"")
    for path in [*paths, *(path.parent for path in paths), tmp_path / "uploads" / "stray"]:
        os.utime(path, (1000, 1000))
    clock.now = 1000 + UNUSED
    tickets.remove_old()
    assert all(path.exists() for path in paths)
    os.utime(paths[1], (1001, 1001))
    clock.now += 0.5
    tickets.remove_old()
    assert [path.parent.exists() for path in paths] == [False, True]
    with pytest.raises(Refused):
        tickets.find(old.key)
