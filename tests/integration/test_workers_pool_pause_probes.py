"""What a free question makes of a pause: over, not over, or one song may try."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stemwatch import config
from stemwatch.disks.mounts import watch_mode
from stemwatch.errors import PauseService
from stemwatch.job import AT_HAND, JobState, Options
from stemwatch.service.inboxes import Served
from stemwatch.wiring.working_set import place_of
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pool.outcome import conclude
from stemwatch.workers.pool.pause_probes import probe
from stemwatch.workers.pool.turns import Pool
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job
from tests.support.scenario.server import ScenarioServer
from tests.support.stepwise import stepwise

OVER, WAITS, MAY_TRY = "over", "waits", "may try"
GATEWAY: Mapping[str, Any] = {"get": [{"status": 502, "html": True}] * 3}
LATE = {"get": [{"status": 429, "headers": {"Retry-After": "7"}}]}


def probed(
    root: Path,
    wire: str,
    code: str,
    changes: Mapping[str, Any],
    waiting: float | None = None,
    in_vain: int = 0,
    at_hand: float | None = None,
) -> tuple[str, set[str], int]:
    """What became of the pause `code`, the codes of the others, and how often was asked.

    `waiting`: the seconds of the one song that is queued, `at_hand`: of one more that has its
    stems; `in_vain`: tries before.
    """

    async def main() -> tuple[str, set[str], int]:
        with ScenarioServer(wire=wire) as server:
            server.scenario(**changes)
            async with context_of(Home(root, server.url)) as context:
                if waiting is not None:
                    await context.journal.add(new_job(duration=waiting))
                if at_hand is not None:
                    await context.journal.add(new_job(2, duration=at_hand, engine=AT_HAND))
                gate = context.gate
                gate.pause(PauseService("held.", code=code, after=0.0))
                (pause,) = gate.due()
                for _ in range(in_vain):
                    await probe(context, pause)
                    pause = next(one for one in gate.pauses if one.code == code)
                await probe(context, pause)
                left = {pause.code: pause for pause in gate.pauses}
                end = OVER
                if (now := left.pop(code, None)) is not None:
                    end = MAY_TRY if now.cleared else WAITS
                    assert now.cleared or now.until > context.clock()
                assert server.requests("post") == []
                return end, set(left), len(server.log)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "changes", "expected"),
    [
        ("server", {}, (OVER, set(), 1)),
        ("server", GATEWAY, (WAITS, set(), 1)),
        ("server", {"get": [{"status": 401}]}, (OVER, {"auth"}, 1)),
        ("server_error", {}, (MAY_TRY, set(), 1)),
        ("server_error", GATEWAY, (WAITS, {"server"}, 1)),
        ("server_error", LATE, (WAITS, set(), 1)),
        ("server_error", {"get": [{"status": 418}]}, (MAY_TRY, set(), 1)),
        ("endpoint", {}, (MAY_TRY, set(), 2)),
        ("endpoint", GATEWAY, (WAITS, set(), 1)),
        ("endpoint", {"get": [{"redirect": "{origin}/", "status": 308}]}, (WAITS, set(), 1)),
        ("credit", {}, (MAY_TRY, set(), 0)),
    ],
)
def test_wire_a(
    tmp_path: Path, code: str, changes: dict[str, Any], expected: tuple[str, set[str], int]
) -> None:
    """Nothing tells what is left, or whether songs are taken: then one tries."""
    assert probed(tmp_path, "separate", code, changes) == expected


@pytest.mark.parametrize(
    ("code", "changes", "waiting", "expected"),
    [
        ("server", {}, None, (OVER, set())),
        ("server_error", {}, None, (MAY_TRY, set())),
        ("server_error", {"balance": [{"status": 502}]}, None, (WAITS, {"server"})),
        ("server_error", {"balance": [{"html": True}]}, None, (MAY_TRY, set())),
        ("endpoint", {}, None, (OVER, set())),
        ("endpoint", {"get": [{"status": 404}]}, None, (WAITS, set())),
        ("credit", {"balance_seconds": 0}, None, (WAITS, set())),
        ("credit", {"balance_seconds": 30}, None, (OVER, set())),
        ("credit", {"balance_seconds": 30}, 60.0, (WAITS, set())),
        ("credit", {"balance_seconds": 60}, 60.0, (OVER, set())),
        ("credit", {"balance": [{"status": 502}]}, None, (WAITS, set())),
    ],
)
def test_wire_b(
    tmp_path: Path,
    code: str,
    changes: dict[str, Any],
    waiting: float | None,
    expected: tuple[str, set[str]],
) -> None:
    """Its balance and its list tell, but for a server that answers questions only."""
    end, others, asked = probed(tmp_path, "presigned", code, changes, waiting)
    assert (end, others, asked) == (*expected, 1)


def test_a_song_that_has_its_stems_says_nothing_of_the_credit(tmp_path: Path) -> None:
    """It is never submitted. Each that waited ended the pause, and a long song was sent in vain."""
    changes = {"balance_seconds": 30}
    end, *_ = probed(tmp_path, "presigned", "credit", changes, 60.0, at_hand=10.0)
    assert end == WAITS


@pytest.mark.parametrize("ends", ["taken back", "delivered"])
def test_the_song_that_waits_for_room_may_go(tmp_path: Path, ends: str) -> None:
    """Its inbox was held for ever, or until there was room for what nobody wanted any more."""

    async def main() -> None:
        home = Home(tmp_path, "http://127.0.0.1:9/v1")
        async with context_of(home, timing=replace(Timing(), disk_recheck=0.0)) as context:
            gate, outbox = context.gate, str(home.outbox)
            song = await context.journal.add(new_job(outbox=outbox, duration=1e12))
            with pytest.raises(PauseService) as fault:
                context.space.require(song)
            await conclude(context, song, fault.value)
            await probe(context, gate.pauses[0])
            assert [pause.code for pause in gate.pauses] == ["room"]
            to = JobState.GONE if ends == "taken back" else JobState.DELIVERED
            await context.journal.advance(song, to, delivered_to=outbox)
            await probe(context, gate.pauses[0])
            assert gate.pauses == []
            assert context.space.awaited(None) is None

    asyncio.run(main())


@asynccontextmanager
async def too_little_room(root: Path) -> AsyncIterator[tuple[Context, Pool, Callable[[], None]]]:
    """A song waits for room that another one has reserved, and what gives that back."""
    home = Home(root, "http://127.0.0.1:9/v1")
    async with context_of(home, timing=replace(Timing(), disk_recheck=0.0)) as context:
        space, outbox = context.space, str(home.outbox)
        found = os.statvfs(outbox)
        most = int(found.f_bavail * found.f_frsize * 0.6)
        song = new_job(outbox=outbox, duration=most / 768_000, options=Options(2, "wav"))
        song = await context.journal.add(song)
        space.reserve(song.evolve(id=99))
        with pytest.raises(PauseService) as fault:
            space.require(song)
        await conclude(context, song, fault.value)
        yield context, Pool(context), lambda: space.release(99)


def test_one_run_waits_for_the_look_that_ends_a_pause_for_room(tmp_path: Path) -> None:
    """`run --once` ended with songs left, between that look and the pause's end."""

    async def main() -> None:
        async with too_little_room(tmp_path) as (context, pool, give_back):
            assert await pool.stuck()
            give_back()
            assert not await pool.stuck()
            waits = 0
            async for _ in stepwise(probe(context, context.gate.pauses[0])):
                waits += 1
                assert not await pool.stuck()
            assert context.gate.pauses == []
            assert waits > 1

    asyncio.run(main())


def test_one_run_does_not_end_on_a_pause_that_ends_meanwhile(tmp_path: Path) -> None:
    """At whichever of its questions to the journal that is."""

    async def ended_at(number: int) -> bool:
        """Whether the pause's end came before that of the question, which found work left."""
        async with too_little_room(tmp_path / str(number)) as (context, pool, give_back):
            waits, found = 0, list[bool]()
            async for _ in stepwise(pool.stuck(), found.append):
                waits += 1
                if waits == number:
                    give_back()
                    await probe(context, context.gate.pauses[0])
            assert found == [waits < number]
            return waits >= number

    async def main() -> None:
        number = 1
        while await ended_at(number):
            number += 1
        assert number > 2

    asyncio.run(main())


NEVER: Mapping[str, Any] = {"balance": [{"status": 502}] * 9}


@pytest.mark.parametrize(
    ("code", "changes", "expected"),
    [
        ("credit", NEVER, (MAY_TRY, set())),
        ("server", NEVER, (OVER, set())),
        ("server_error", NEVER, (MAY_TRY, {"server"})),
        ("auth", NEVER, (OVER, set())),
        ("endpoint", GATEWAY, (MAY_TRY, set())),
        ("credit", {**NEVER, **GATEWAY}, (WAITS, set())),
        ("server", {**NEVER, **GATEWAY}, (WAITS, set())),
        ("credit", {**NEVER, "get": [{"status": 401}]}, (WAITS, {"auth"})),
        ("credit", {"balance_seconds": 0}, (WAITS, set())),
    ],
)
def test_a_call_that_is_broken_for_good_ends_in_another_question(
    tmp_path: Path, code: str, changes: Mapping[str, Any], expected: tuple[str, set[str]]
) -> None:
    """What 402 paused was held for ever behind a balance that is never told.

    Nothing is risked while the API answers nothing at all, nor while it says that none is left. One
    question at a time: an outage gets no more of them.
    """
    end, others, asked = probed(tmp_path, "presigned", code, changes, in_vain=3)
    assert (end, others, asked) == (*expected, 4)


def test_an_outbox_that_can_not_be_read_stays_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locked subfolder, where the journal is to be made again: written to, its disk looks well.

    The pause ended and began again every 15 s, and was told each time.
    """
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    locked = home.outbox / "Jazz"
    locked.mkdir(parents=True)
    (home.outbox / "lost+found").mkdir()
    listed, shut = os.scandir, {str(locked), str(home.outbox / "lost+found")}

    def scandir(path: str) -> Any:
        if path in shut:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return listed(path)

    async def main() -> None:
        settings = config.load(str(home.config), env={})
        (inbox,) = settings.every_inbox
        mode = watch_mode("poll", str(home.inbox))
        place = place_of(settings.folders, mode, 10.0)
        timing = replace(Timing(), disk_recheck=0.0)
        async with context_of(home, timing=timing, place=place) as context:
            changes: list[bool] = []
            context.gate.on_change.append(lambda pause, begins: changes.append(begins))
            served = Served(inbox, settings.watch, context, mode)
            for _ in range(3):
                await served.prepare()
                (pause,) = context.gate.pauses
                assert str(locked) in pause.message
                await probe(context, pause)
            assert changes == [True]
            shut.remove(str(locked))  # the other one is root's own, and nothing is delivered there
            await served.prepare()
            await probe(context, pause)
            assert changes == [True, False]
            assert not served.away

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", scandir)
        asyncio.run(main())


def test_the_place_of_an_inbox_that_is_gone_is_made_once(tmp_path: Path) -> None:
    """Each has a thread that waits on its disk: with one for each try a service ran out of them."""

    async def main() -> None:
        async with context_of(Home(tmp_path, "http://127.0.0.1:9/v1")) as context:
            songs = [new_job(number, inbox="gone", outbox="/away") for number in (1, 2)]
            first, second = (context.place_of(song) for song in songs)
            assert first is second
            assert first.outbox == "/away"

    asyncio.run(main())
