"""Submissions against a real server that answers well, badly, early or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stemwatch import __version__
from stemwatch.errors import PauseService, Reject, RetryLater, StemwatchError, Unconfirmed
from stemwatch.job import Options
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import Submitted, Upload
from stemwatch.stemsplit.separate import SeparateApi
from tests.support.scenario.caller import KEY, Caller, make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for, wait_for_async

BUFFER = 128 * 1024  # bytes that the kernel takes in for the server before it reads
BIG = 12_000_000  # bytes: more than the buffers of both sides hold


@pytest.fixture(scope="module")
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer(key=KEY, receive_buffer=BUFFER) as running:
        yield running


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return make_song(tmp_path / "song.wav")


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.wav"
    with path.open("wb") as out:
        out.truncate(BIG)
    return path


def submit(
    server: ScenarioServer, caller: Caller, options: Options | None = None, **timeouts: Any
) -> Submitted:
    async def once() -> Submitted:
        api = SeparateApi(Calls(server.url, KEY, **timeouts))
        try:
            return await caller.submit(api, options)
        finally:
            await api.aclose()

    return asyncio.run(once())


def fault(server: ScenarioServer, path: Path, **timeouts: Any) -> tuple[StemwatchError, Caller]:
    with Caller(path) as caller, pytest.raises(StemwatchError) as caught:
        submit(server, caller, **timeouts)
    assert KEY not in str(caught.value)
    return caught.value, caller


def test_a_good_submission(server: ScenarioServer, song: Path) -> None:
    """Fields, name, bytes and headers arrive as wire A wants them, the last bytes held once."""
    with Caller(song, filename='so"ng\n🎵.wav') as caller:
        done = submit(server, caller, Options(stems=6, format="flac"))
    request = server.requests("post")[-1]
    assert done.remote_id == request["job_id"]
    assert request["fields"] == {"stems": "6", "format": "flac"}
    assert request["filename"] == "so%22ng%0A🎵.wav"
    assert request["sha256"] == hashlib.sha256(song.read_bytes()).hexdigest()
    headers = request["headers"]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["user-agent"] == f"stemwatch/{__version__}"
    assert headers["idempotency-key"] == "key-1"
    assert headers["accept-encoding"] == "identity"
    assert "transfer-encoding" not in headers
    assert int(headers["content-length"]) > song.stat().st_size
    assert caller.held == 1
    assert caller.sent[-1] == song.stat().st_size


def test_two_attempts_from_one_descriptor(server: ScenarioServer, song: Path) -> None:
    """The descriptor's position is not used: a second attempt is not an empty upload."""
    with Caller(song) as caller:
        submit(server, caller)
        submit(server, caller)
    first, second = server.requests("post")[-2:]
    assert first["sha256"] == second["sha256"]
    assert second["size"] == song.stat().st_size


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        ({"status": 400}, Reject, "bad_request"),
        ({"status": 413}, Reject, "too_large"),
        ({"status": 415}, Reject, "unsupported"),
        ({"status": 422, "body": {"error": {"code": "AUDIO_TOO_SHORT"}}}, Reject, "too_short"),
        ({"status": 401}, PauseService, "auth"),
        ({"status": 403}, PauseService, "auth"),
        ({"status": 402}, PauseService, "credit"),
        ({"status": 404}, PauseService, "endpoint"),
        ({"status": 429, "headers": {"Retry-After": "3"}}, RetryLater, "rate_limited"),
        ({"status": 500}, RetryLater, "server_error"),
        ({"status": 503, "headers": {"Retry-After": "3"}}, RetryLater, "server_error"),
        ({"status": 308, "redirect": "{origin}/v2/separate"}, PauseService, "endpoint"),
        ({"status": 303, "redirect": "{origin}/done"}, Unconfirmed, "submission_unconfirmed"),
        ({"html": True}, Unconfirmed, "submission_unconfirmed"),
        ({"half": True}, Unconfirmed, "submission_unconfirmed"),
        ({"drop": ["job_id"]}, Unconfirmed, "submission_unconfirmed"),
        ({"merge": {"job_id": ".."}}, Unconfirmed, "submission_unconfirmed"),
        ({"merge": {"job_id": {"a": 1}}}, Unconfirmed, "submission_unconfirmed"),
        ({"bomb": 5}, Unconfirmed, "submission_unconfirmed"),
        ({"reset": "end"}, Unconfirmed, "submission_unconfirmed"),
        ({"reset": "end", "accept": True}, Unconfirmed, "submission_unconfirmed"),
        ({"close": "end", "accept": True}, Unconfirmed, "submission_unconfirmed"),
        ({"reset": "answer"}, Unconfirmed, "submission_unconfirmed"),
        ({"close": "answer"}, Unconfirmed, "submission_unconfirmed"),
        ({"length": 50}, Unconfirmed, "submission_unconfirmed"),
        ({"endless": True}, Unconfirmed, "submission_unconfirmed"),
    ],
)
def test_answers_after_the_body(
    server: ScenarioServer, song: Path, step: dict[str, Any], kind: type, code: str
) -> None:
    """Every row of the table for a body that was sent whole, on a real connection."""
    server.scenario(post=[step])
    found, caller = fault(server, song, answer_timeout=5)
    assert (type(found), found.code) == (kind, code)
    assert caller.held == 1
    if "Retry-After" in step.get("headers", {}):
        assert isinstance(found, RetryLater)
        assert found.after == 3.0


@pytest.mark.parametrize(
    "step",
    [
        {"length": None},
        {"chunked": True},
        {"drip": 0.002},
        {"merge": {"extra": [1], "job_id": 17}},
        {"delay": 0.2},
    ],
)
def test_odd_but_readable_answers_are_taken(
    server: ScenarioServer, song: Path, step: dict[str, Any]
) -> None:
    """A job that was paid for is not given up for an odd way of saying so."""
    server.scenario(post=[step])
    with Caller(song) as caller:
        assert submit(server, caller).remote_id


@pytest.mark.parametrize("step", [{"hang": "end"}, {"drip": 0.2}])
def test_no_answer_in_time_is_unconfirmed(
    server: ScenarioServer, song: Path, step: dict[str, Any]
) -> None:
    """The answer has a deadline as a whole, not for each byte."""
    server.scenario(post=[step])
    found, _ = fault(server, song, answer_timeout=0.5)
    assert type(found) is Unconfirmed


@pytest.mark.parametrize(
    "step", [{"reset": "head"}, {"close": "head"}, {"reset": "body"}, {"close": "body"}]
)
def test_cut_off_in_the_body_is_tried_again(
    server: ScenarioServer, big: Path, step: dict[str, Any]
) -> None:
    """Without its end a body can't have been accepted: nothing is ambiguous."""
    server.scenario(post=[step])
    found, caller = fault(server, big)
    assert isinstance(found, RetryLater)
    assert (found.code, found.server_down) == ("unreachable", True)
    assert caller.held == 0


def test_a_server_that_stops_reading(server: ScenarioServer, big: Path) -> None:
    """The upload's own deadline ends it, and says which setting to raise."""
    server.scenario(post=[{"hang": "head"}])
    found, _ = fault(server, big, upload_timeout=0.5)
    assert isinstance(found, RetryLater)
    assert "api.upload_timeout" in found.hint


@pytest.mark.parametrize("then", ["close", "stall", "read"])
@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, PauseService, "auth"),
        (413, Reject, "too_large"),
        (429, RetryLater, "rate_limited"),
        (503, RetryLater, "server_error"),
        (302, PauseService, "endpoint"),
    ],
)
def test_an_answer_at_the_head_is_an_answer(
    server: ScenarioServer, big: Path, then: str, status: int, kind: type, code: str
) -> None:
    """It is read although the body is not sent yet, whatever the server does with the rest."""
    step = {"at": "head", "status": status, "headers": {"Location": "/x"}, "then": then}
    server.scenario(post=[step])
    found, caller = fault(server, big, upload_timeout=10)
    assert (type(found), found.code) == (kind, code)
    assert caller.held == 0  # no slot was taken and no intent written for it
    assert not caller.sent or caller.sent[-1] < BIG


@pytest.mark.parametrize("slot_is_free", [False, True])
@pytest.mark.parametrize(
    ("status", "delay", "kind", "code"),
    [
        (408, 0.3, RetryLater, "not_waited"),
        (504, 0.3, RetryLater, "not_waited"),
        (400, 1.3, RetryLater, "not_waited"),
        (500, 1.3, RetryLater, "not_waited"),
        (503, 1.3, RetryLater, "not_waited"),
        (400, 0.0, Reject, "bad_request"),
        (413, 1.3, Reject, "too_large"),
        (401, 1.3, PauseService, "auth"),
    ],
)
def test_an_answer_during_the_hold_stops_the_last_bytes(
    song: Path, status: int, delay: float, kind: type, code: str, slot_is_free: bool
) -> None:
    """Whoever times the waiting body out has answered: the end is not sent after it.

    In whatever words: no song is quarantined, no server called down for an end that they never saw.
    """
    for _ in range(5):
        found, took = answered_in_the_hold(song, status, delay, slot_is_free)
        if not delay < 1.0 <= took:  # else a busy machine let it stand still until it was one's end
            break
    assert isinstance(found, RetryLater | Reject | PauseService)
    assert (type(found), found.code, found.http_status) == (kind, code, status)
    assert not (isinstance(found, RetryLater) and found.server_down)


def answered_in_the_hold(
    song: Path, status: int, delay: float, slot_is_free: bool
) -> tuple[StemwatchError, float]:
    """What comes of an answer so many seconds after the hold began, and how long that took."""
    began = 0.0
    with ScenarioServer(key=KEY, receive_buffer=BUFFER) as server:
        server.scenario(post=[{"at": "head", "status": status, "until": "told"}])

        async def hold() -> None:
            nonlocal began
            began = time.monotonic()
            await asyncio.sleep(delay)
            server.go_on()
            if slot_is_free:  # in the very moment of the answer
                posts = partial(server.requests, "post")
                await wait_for_async(lambda: any(one["delivered"] for one in posts()))
            else:
                await asyncio.Event().wait()

        with Caller(song, hold=hold) as caller, pytest.raises(StemwatchError) as caught:
            submit(server, caller)
        took = time.monotonic() - began
        assert caller.held == 1
        assert server.paid["total"] == 0
    return caught.value, took


def test_half_an_answer_during_the_hold_does_not_last_for_ever(song: Path) -> None:
    """The wait for a slot is not timed; the rest of an answer that ended it is."""

    holding, over = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        holding.set()
        await asyncio.Event().wait()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not holding.is_set():  # an answer before that is timed as the whole upload is
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(BUFFER), 0.02)
        with suppress(ConnectionError):
            while not reader.at_eof():  # never silent for as long as a read may take
                writer.write(b"HTTP/1.1 408 Request Timeout\r\nX: ")
                await writer.drain()
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(BUFFER), 0.2)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    async def held() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        api = SeparateApi(Calls(origin, "key", answer_timeout=1.0))
        try:
            with song.open("rb") as file:
                await api.submit(
                    Upload(file.fileno(), song.stat().st_size, song.name),
                    Options(stems=2, format="wav"),
                    idempotency_key="key",
                    before_last_bytes=hold,
                    on_sent=lambda _: None,
                )
        finally:
            await api.aclose()
            server.close()
            await over.wait()

    with pytest.raises(RetryLater) as caught:
        asyncio.run(asyncio.wait_for(held(), 30))
    assert caught.value.code == "not_waited"


def test_a_server_gone_during_the_hold_is_not_ambiguous(song: Path) -> None:
    """The connection died before the last bytes: nothing was accepted."""
    doomed = ScenarioServer().start()

    async def hold() -> None:
        await asyncio.to_thread(doomed.stop)

    with Caller(song, hold=hold) as caller, pytest.raises(RetryLater) as caught:
        submit(doomed, caller)
    # noticed during the hold or when the last bytes were due, and never as "may be charged"
    assert caught.value.code in {"not_waited", "unreachable"}


def test_the_hold_can_abort(server: ScenarioServer, song: Path) -> None:
    """Its exception comes out unchanged, and the server never sees a whole body."""
    stop = TimeoutError("mine")

    posts, before = len(server.requests("post")), server.paid["total"]

    async def hold() -> None:
        await wait_for_async(lambda: len(server.requests("post")) > posts)
        raise stop

    with Caller(song, hold=hold) as caller, pytest.raises(TimeoutError) as caught:
        submit(server, caller)
    assert caught.value is stop
    post = server.requests("post")[-1]
    wait_for(lambda: "received" in post)  # no more of it comes
    assert "finished" not in post
    assert server.paid["total"] == before


def test_the_hold_is_not_timed(server: ScenarioServer, song: Path) -> None:
    """Waiting for a slot does not count as uploading."""

    async def hold() -> None:
        await asyncio.sleep(1.5)

    with Caller(song, hold=hold) as caller:
        assert submit(server, caller, upload_timeout=1.0).remote_id


@pytest.mark.parametrize("change", ["shrink", "grow", "rewrite", "before"])
def test_a_file_that_changes_is_not_submitted(
    server: ScenarioServer, song: Path, change: str
) -> None:
    """Another content than the one that was hashed is never paid for."""
    size = song.stat().st_size

    async def hold() -> None:
        if change == "shrink":
            os.truncate(song, size - 1)
        elif change == "grow":
            os.truncate(song, size + 1)
        else:
            os.utime(song, ns=(1, 1))

    before = server.paid["total"]
    with Caller(song, hold=hold) as caller, pytest.raises(RetryLater) as caught:
        if change == "before":
            os.truncate(song, size // 2)
        submit(server, caller)
    assert caught.value.code == "changed"
    assert server.paid["total"] == before


def test_nobody_listens(song: Path) -> None:
    """Connection refused and an unknown name are the server's trouble, not the file's."""
    closed = ScenarioServer().start()
    closed.stop()
    for url in (closed.url, "http://no-such-host.invalid/v1"):

        async def once(url: str = url) -> None:
            api = SeparateApi(Calls(url, KEY))
            try:
                with Caller(song) as caller:
                    await caller.submit(api)
            finally:
                await api.aclose()

        with pytest.raises(RetryLater) as caught:
            asyncio.run(once())
        assert caught.value.server_down
