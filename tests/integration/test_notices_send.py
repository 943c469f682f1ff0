"""Messages through the real Apprise, in its real process, to a real web server on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psutil
import pytest

from stemwatch.notices.sender import FAILED, INVALID, SENT, Message, Outcome, send
from tests.support.webhook_receiver import Receiver


def url_of(receiver: Receiver, path: str = "") -> str:
    """The address of `receiver` as Apprise writes it."""
    return receiver.url.replace("http://", "json://") + path


def sent(*messages: Message, seconds: float = 60.0) -> list[Outcome]:
    return asyncio.run(send(messages, env=os.environ, seconds=seconds))


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in receiver.calls]


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"json://127.0.0.1:{listener.getsockname()[1]}"


def test_each_address_has_its_message_and_its_outcome() -> None:
    """One takes it, one refuses, one is no address, one is only looked at; none hides another."""
    with Receiver() as good, Receiver([500]) as bad:
        outcomes = sent(
            Message(url_of(good), "2 delivered", "Ünïcode <b>: a.mp3\nb.mp3", urgent=True),
            Message(url_of(bad, "/secret-token-1234?x=secret-word"), "t", "b"),
            Message("nosuchservice://secret-token-1234", "t", "b"),
            Message(url_of(good)),
            Message("http://127.0.0.1:1/", "t", "b"),
        )
        (told,) = bodies(good)
        assert len(bad.calls) == 1
    assert [outcome.kind for outcome in outcomes] == [SENT, FAILED, INVALID, SENT, INVALID]
    assert (told["title"], told["message"]) == ("2 delivered", "Ünïcode <b>: a.mp3\nb.mp3")
    assert told["type"] == "warning"
    assert "500" in outcomes[1].why
    assert "secret" not in repr(outcomes)


def test_a_server_that_never_answers_is_given_up_and_the_others_are_known(silent: str) -> None:
    """The helper is killed when its time is over: nothing is left, and who was told is known."""
    for seconds in (2.5, 20):  # a busy machine may need longer to start the helper
        started = time.monotonic()
        with Receiver() as good:
            outcomes = sent(
                Message(f"{silent}?rto=100", "t", "b"),
                Message(url_of(good), "t", "b"),
                seconds=seconds,
            )
            told = len(good.calls)
        assert time.monotonic() - started < seconds + 10
        if outcomes[1].kind == SENT:
            break
    assert [outcome.kind for outcome in outcomes] == [FAILED, SENT]
    assert told == 1
    assert not list(filter(is_helper, psutil.Process().children()))


def is_helper(process: psutil.Process) -> bool:
    try:
        return "stemwatch.notices" in process.cmdline()
    except psutil.NoSuchProcess:  # another one's child, that has gone since
        return False
