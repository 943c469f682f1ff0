"""`api.upload_timeout` on both wires: a slow line is not a stalled one, and no answer lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from stemwatch.errors import RetryLater, StemwatchError, Unconfirmed
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import SeparationApi, Submitted
from stemwatch.stemsplit.line.standstill import Patience
from stemwatch.stemsplit.presigned import PresignedApi
from stemwatch.stemsplit.separate import SeparateApi
from tests.support.scenario.caller import KEY, Caller, make_song
from tests.support.scenario.server import ScenarioServer

WIRES: dict[str, type[SeparationApi]] = {"separate": SeparateApi, "presigned": PresignedApi}
PATIENCE = 0.5  # seconds
STEADY = 1.5  # the same where a stall of this machine must not look like one of the line
SECONDS = 90.0  # of the song: 16 MB, the half of it more than the sockets of both sides keep
BUFFER = 128 * 1024  # bytes that the kernel takes in for the server before it reads


@pytest.fixture(params=list(WIRES))
def server(request: pytest.FixtureRequest) -> Iterator[ScenarioServer]:
    with ScenarioServer(key=KEY, receive_buffer=BUFFER, wire=request.param) as running:
        yield running


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    with Caller(make_song(tmp_path / "song.wav", SECONDS)) as caller:
        yield caller


def submit(server: ScenarioServer, caller: Caller, **timeouts: Any) -> Submitted:
    async def once() -> Submitted:
        timeouts.setdefault("upload_timeout", PATIENCE)
        api = WIRES[server.wire](Calls(server.url, KEY, **timeouts))  # type: ignore[call-arg]
        try:
            return await caller.submit(api)
        finally:
            await api.aclose()

    return asyncio.run(asyncio.wait_for(once(), 30))


def upload_route(server: ScenarioServer) -> str:
    return {"separate": "post", "presigned": "put"}[server.wire]


def test_a_slow_line_takes_as_long_as_it_needs(server: ScenarioServer, caller: Caller) -> None:
    server.scenario(up_rate=caller.upload.size / (2 * STEADY))
    began = time.monotonic()
    assert submit(server, caller, upload_timeout=STEADY).remote_id
    assert time.monotonic() - began > STEADY
    assert server.paid["total"] == 1


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_server_that_takes_no_more_is_given_up(
    server: ScenarioServer, caller: Caller, where: str
) -> None:
    """Without its end nothing was accepted: tried again, never "may be charged"."""
    server.scenario(**{upload_route(server): [{"hang": where}]})
    with pytest.raises(RetryLater) as caught:
        submit(server, caller)
    assert (caught.value.code, caught.value.server_down) == ("unreachable", True)
    assert "api.upload_timeout" in caught.value.hint
    assert caller.held == 0
    assert server.paid["total"] == 0


@pytest.mark.parametrize("step", [{"delay": 60}, {"body": "x" * 99, "drip": 0.05}])
def test_the_answer_to_an_upload_is_timed_as_a_whole(
    server: ScenarioServer, caller: Caller, step: dict[str, Any]
) -> None:
    """However it drips. Only the call that costs may have cost: storage is free."""
    server.scenario(**{upload_route(server): [step]})
    with pytest.raises(StemwatchError) as caught:
        submit(server, caller, upload_timeout=STEADY, answer_timeout=PATIENCE)
    assert type(caught.value) is {"separate": Unconfirmed, "presigned": RetryLater}[server.wire]
    assert caller.held == (server.wire == "separate")


def test_a_disk_that_gives_no_bytes_is_given_up() -> None:
    """Its waits count, those of the line don't: the socket times them."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        yield b"second"
        await asyncio.Event().wait()

    async def upload() -> list[bytes]:
        sent = []
        patience = Patience(0.2)
        with pytest.raises(TimeoutError):
            async with patience:
                async for chunk in patience.timed(chunks()):
                    sent.append(chunk)
                    await asyncio.sleep(0.3)
        assert patience.expired
        return sent

    assert asyncio.run(asyncio.wait_for(upload(), 30)) == [b"first", b"second"]
