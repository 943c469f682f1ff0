"""Wire B's uploads that wait for their job: used while their ticket lives, and made anew after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stemwatch.codes import Code
from stemwatch.errors import PauseService, Reject, RetryLater, StemwatchError, Unconfirmed
from stemwatch.job import Options
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import Submitted
from stemwatch.stemsplit.presigned import PresignedApi
from tests.support.scenario.caller import KEY, Caller, make_song
from tests.support.scenario.server import ScenarioServer

KEPT = 10.0  # seconds
LOST = {"status": 400, "body": {"error": {"code": "UPLOAD_NOT_FOUND", "message": "too late"}}}
NAMELESS = {"status": 404, "body": {"error": "no such thing"}}
TOO_LONG = {"status": 400, "body": {"error": {"code": "AUDIO_TOO_LONG", "message": "an hour"}}}
FAILING = {"status": 500}


@pytest.fixture
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer(key=KEY, wire="presigned") as running:
        yield running


async def at_once() -> None:
    """A slot is free."""


async def never() -> None:
    """All slots are taken."""
    await asyncio.Event().wait()


async def held() -> None:
    """A pause began."""
    raise RetryLater("a pause began.", code=Code.HELD, counts=False)


class Api:
    """Submits one song again and again, with a clock of its own."""

    def __init__(self, server: ScenarioServer, caller: Caller) -> None:
        self.now = 100.0
        self.takes = 0.0  # seconds by the clock that an upload takes
        self.wire = PresignedApi(Calls(server.url, KEY), kept=KEPT, clock=lambda: self.now)
        self._upload = caller.upload

    async def submit(self, slot: Callable[[], Awaitable[None]]) -> Submitted | StemwatchError:
        def sent(count: int) -> None:
            if count == self._upload.size:
                self.now += self.takes

        try:
            return await self.wire.submit(
                self._upload,
                Options(),
                idempotency_key="k" * 32,
                before_last_bytes=slot,
                on_sent=sent,
            )
        except StemwatchError as fault:
            return fault


@asynccontextmanager
async def opened(server: ScenarioServer, root: Path) -> AsyncIterator[Api]:
    with Caller(make_song(root / "song.wav")) as caller:
        api = Api(server, caller)
        yield api
        await api.wire.aclose()


def keys(server: ScenarioServer) -> tuple[int, int]:
    """How many uploads and how many jobs there were."""
    return len(server.requests("put")), len(server.requests("post"))


def test_an_upload_is_not_used_for_longer_than_its_ticket_lives(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """The time counts from the ticket, also of a later try, and the wait for a slot is part of it.

    A key could be twice as old as its ticket, and a refusal was taken for the song's.
    """

    async def scenario() -> None:
        async with opened(server, tmp_path) as api:
            api.takes = 0.9 * KEPT
            assert getattr(await api.submit(held), "code", None) == Code.HELD
            api.now += 0.08 * KEPT
            waited = await api.submit(never)  # what is left of it: a fifth of a second
            assert getattr(waited, "code", None) == Code.NO_SLOT
            assert keys(server) == (1, 0)
            api.now += 0.02 * KEPT
            assert isinstance(await api.submit(at_once), Submitted)
            assert keys(server) == (2, 1)

    asyncio.run(scenario())


def test_an_upload_that_outlives_its_ticket_is_not_wasted(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """On a slow line the next one would take as long, for ever."""

    async def scenario() -> None:
        async with opened(server, tmp_path) as api:
            api.takes = 2 * KEPT
            assert getattr(await api.submit(held), "code", None) == Code.HELD
            api.now += 0.9 * KEPT
            assert isinstance(await api.submit(at_once), Submitted)
            assert keys(server) == (1, 1)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("takes", "answers", "fault"),
    [
        (0.0, [LOST], Code.UPLOAD_LOST),
        (0.0, [NAMELESS], Code.ENDPOINT),
        (KEPT, [NAMELESS], Code.UPLOAD_LOST),
        (KEPT, [TOO_LONG], Code.TOO_LONG),
        (0.0, [FAILING, LOST], Code.SUBMISSION_UNCONFIRMED),
    ],
)
def test_a_refusal_of_the_upload_is_not_the_songs(
    tmp_path: Path, server: ScenarioServer, takes: float, answers: list[object], fault: Code
) -> None:
    """The next try uploads it anew. Where a failing server may have used it up, that one's list of
    jobs is asked first, or the song could be paid twice."""
    server.scenario(post=answers)
    kinds = {Code.UPLOAD_LOST: RetryLater, Code.ENDPOINT: PauseService}

    async def scenario() -> None:
        async with opened(server, tmp_path) as api:
            api.takes = takes
            for _ in answers[1:]:
                assert getattr(await api.submit(at_once), "code", None) == Code.SERVER_ERROR
            met = await api.submit(at_once)
            assert getattr(met, "code", None) == fault
            assert isinstance(met, kinds.get(fault, Reject))
            assert isinstance(met, Unconfirmed) is (fault is Code.SUBMISSION_UNCONFIRMED)
            assert isinstance(await api.submit(at_once), Submitted)
            assert keys(server) == (2, len(answers) + 1)

    asyncio.run(scenario())
