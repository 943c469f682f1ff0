"""Polls and the key's check against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest

from stemwatch.errors import PauseService, RetryLater, StemwatchError
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import RemoteJob, RemoteStatus
from stemwatch.stemsplit.separate import SeparateApi
from tests.support.scenario.caller import KEY, Caller, make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

T = TypeVar("T")


@pytest.fixture(scope="module")
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer(key=KEY, job_seconds=0.0) as running:
        yield running


@pytest.fixture(scope="module")
def job_id(server: ScenarioServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    with Caller(make_song(tmp_path_factory.mktemp("song") / "a.wav")) as caller:
        return ask(server, caller.submit).remote_id


def ask(
    server: ScenarioServer,
    call: Callable[[SeparateApi], Awaitable[T]],
    key: str = KEY,
    patience: float = 30.0,
) -> T:
    async def once() -> T:
        api = SeparateApi(Calls(server.url, key, poll_timeout=patience))
        try:
            return await call(api)
        finally:
            await api.aclose()

    return asyncio.run(once())


def poll(server: ScenarioServer, job_id: str, patience: float = 30.0) -> RemoteJob:
    return ask(server, lambda api: api.job(job_id, stems=2), patience=patience)


def test_a_completed_job(server: ScenarioServer, job_id: str) -> None:
    """The server's own answer is understood."""
    wait_for(lambda: poll(server, job_id).stems)
    job = poll(server, job_id)
    assert (job.status, job.bpm, job.key) == (RemoteStatus.COMPLETED, 124.0, "C# minor")
    assert set(job.stems) == {"vocals", "instrumental"}


@pytest.mark.parametrize(
    ("step", "code", "down"),
    [
        ({"status": 404}, "job_missing", False),
        ({"status": 429, "headers": {"Retry-After": "9"}}, "rate_limited", False),
        ({"status": 500}, "server_error", True),
        ({"status": 503, "headers": {"Retry-After": "9"}}, "server_error", True),
        ({"redirect": "{origin}/elsewhere"}, "redirected", True),
        ({"redirect": "http:x"}, "redirected", True),  # httpx raises InvalidURL on its own
        ({"redirect": "https://xn--0.test/"}, "redirected", True),
        ({"html": True}, "bad_answer", False),
        ({"half": True}, "bad_answer", False),
        ({"drop": ["status"]}, "bad_answer", False),
        ({"drop": ["stems"]}, "bad_answer", False),
        ({"merge": {"job_id": "another"}}, "bad_answer", False),
        ({"bomb": 20}, "bad_answer", False),
        ({"endless": True}, "bad_answer", False),
        ({"length": -20}, "bad_answer", False),
        ({"reset": "head"}, "unreachable", True),
        ({"close": "head"}, "unreachable", True),
        ({"reset": "answer"}, "unreachable", True),
        ({"close": "answer"}, "unreachable", True),
        ({"length": 20}, "unreachable", True),
        ({"hang": "head"}, "unreachable", True),
        ({"drip": 0.1}, "unreachable", True),
    ],
)
def test_bad_polls_are_tried_again(
    server: ScenarioServer, job_id: str, step: dict[str, Any], code: str, down: bool
) -> None:
    """No answer to a poll gives a paid job up."""
    server.scenario(get=[step])
    timed = "hang" in step or "drip" in step  # only these last until the patience is over
    with pytest.raises(RetryLater) as caught:
        poll(server, job_id, patience=1.0 if timed else 30.0)
    assert (caught.value.code, caught.value.server_down) == (code, down)
    assert ".." not in caught.value.message
    if "headers" in step:
        assert caught.value.after == 9.0


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"merge": {"status": "warming up"}}, RemoteStatus.RUNNING),
        ({"merge": {"status": "failed", "error": "silent"}}, RemoteStatus.FAILED),
        ({"merge": {"bpm": None, "key": None, "new": 1}}, RemoteStatus.COMPLETED),
        ({"chunked": True}, RemoteStatus.COMPLETED),
        ({"length": None}, RemoteStatus.COMPLETED),
    ],
)
def test_odd_but_readable_polls(
    server: ScenarioServer, job_id: str, step: dict[str, Any], expected: RemoteStatus
) -> None:
    """Unknown words, nulls, extra keys and other framings are understood."""
    server.scenario(get=[step])
    assert poll(server, job_id).status is expected


def test_hostile_ids_stay_in_their_place(server: ScenarioServer) -> None:
    """An id is one path segment, whatever is in it."""
    with pytest.raises(RetryLater):
        poll(server, "../../_paid?x=/#é")
    assert server.log[-1]["target"] == "/v1/jobs/..%2F..%2F_paid%3Fx%3D%2F%23%C3%A9"


def test_the_keys_check(server: ScenarioServer) -> None:
    """404 is an API that knows the key; 401 pauses; a redirect is a wrong address."""
    ask(server, lambda api: api.check_key())
    with pytest.raises(PauseService) as caught:
        ask(server, lambda api: api.check_key(), key="sk-wrong")
    assert caught.value.code == "auth"
    server.scenario(get=[{"redirect": "{origin}/x", "status": 301}])
    with pytest.raises(PauseService) as caught:
        ask(server, lambda api: api.check_key())
    assert caught.value.code == "endpoint"
    # A framework's own page, or "no job has such an id", is the word of an API as well.
    server.scenario(get=[{"status": 404, "html": True}, {"status": 422}])
    for _ in range(2):
        ask(server, lambda api: api.check_key())


def test_an_echoed_key_is_not_repeated(server: ScenarioServer, job_id: str) -> None:
    """A server that quotes the key in its error does not get it into our messages."""
    server.scenario(get=[{"status": 401, "body": {"error": f"bad key {KEY}"}}])
    with pytest.raises(StemwatchError) as caught:
        poll(server, job_id)
    assert KEY not in str(caught.value)
    assert "bad key" in str(caught.value)


def test_an_echoed_key_is_no_result(server: ScenarioServer, job_id: str) -> None:
    """The key as the song's key, or as the engine's name, never comes near a sidecar."""
    server.scenario(get=[{"merge": {"key": KEY, "engine": f"engine {KEY}"}}])
    job = poll(server, job_id)
    assert (job.key, job.engine) == (None, None)


def test_cookies_are_not_kept(server: ScenarioServer, job_id: str) -> None:
    """Nothing that a server sets comes back to it."""
    server.scenario(get=[{"headers": {"Set-Cookie": "a=b; Path=/"}}])

    async def twice(api: SeparateApi) -> None:
        await api.job(job_id, stems=2)
        await api.job(job_id, stems=2)

    ask(server, twice)
    assert "cookie" not in server.log[-1]["headers"]
