"""What the intake makes of a file whose content is in quarantine already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from operator import eq
from pathlib import Path

import pytest

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.disks.places import Anchor, Place
from stemwatch.errors import PauseService
from stemwatch.inbox.intake import Candidate, Intake, Limits
from stemwatch.inbox.reading import Same
from stemwatch.job import Identity, Job, JobState, Options
from stemwatch.journal.journal import Journal
from stemwatch.wiring.working_set import intake_of
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.scenario.caller import make_song
from tests.support.waiting import wait_for_async

UNCONFIRMED = {"code": "submission_unconfirmed", "message": "no answer.", "hint": "look."}


async def _all_there(_: Job) -> None:
    """No disk is away."""


@asynccontextmanager
async def _taking(
    root: Path, same: Same = eq, demand: Callable[[Job], Awaitable[None]] = _all_there
) -> AsyncIterator[tuple[Intake, Journal]]:
    """An intake with a journal and helpers of its own."""
    journal, audio = Journal(str(root / "journal")), AudioHelper()
    try:
        yield (
            Intake(journal, audio, local=False, limits=Limits(), same=same, demand_disks=demand),
            journal,
        )
    finally:
        await audio.close()
        journal.close()


def admitted_again(tmp_path: Path, filed_to: Callable[[Path], str | None]) -> tuple[Job, Job]:
    """A song is quarantined as unconfirmed, its file said to be at `filed_to`; then it is seen
    in the inbox once more. Returns the quarantined job, and what the intake gave for the file."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    song = make_song(inbox / "song.wav", seconds=1)
    candidate = Candidate(str(song), song.name, Options(), str(tmp_path / "outbox"))

    async def scenario() -> tuple[Job, Job]:
        async with _taking(tmp_path) as (intake, journal):
            first = await intake.admit(candidate, patient=False)
            intended = await journal.intend(
                first, idempotency_key="k1", minutes=1, price=0.1, limits=[]
            )
            held = await journal.advance(
                intended, JobState.QUARANTINED, **UNCONFIRMED, filed_to=filed_to(song)
            )
            return held, await intake.admit(candidate, patient=False)

    return asyncio.run(scenario())


@pytest.mark.parametrize("filed_to", [lambda song: None, str], ids=["not moved yet", "can't move"])
def test_a_file_that_never_left_the_inbox_is_not_taken_for_a_retry(
    tmp_path: Path, filed_to: Callable[[Path], str | None]
) -> None:
    """A read-only inbox must not make an unconfirmed song be paid for again and again."""
    held, again = admitted_again(tmp_path, filed_to)
    assert (again.id, again.state) == (held.id, JobState.QUARANTINED)
    assert again.code == "submission_unconfirmed"


def test_a_file_that_vanished_before_it_was_moved_is_held_when_it_is_back(tmp_path: Path) -> None:
    """Nobody has decided about the first submission: the same content waits for that."""
    held, again = admitted_again(tmp_path, lambda song: "")
    assert again.id != held.id
    assert (again.state, again.code) == (JobState.QUARANTINED, "duplicate_in_quarantine")


def test_a_file_moved_back_by_hand_is_a_retry(tmp_path: Path) -> None:
    """It was in the quarantine, and is there no more: a person has decided."""
    held, again = admitted_again(tmp_path, lambda song: str(song.parent.parent / "quarantine/x"))
    assert (again.id, again.state) == (held.id, JobState.QUEUED)
    assert again.idempotency_key == "k1"


def test_a_quarantine_whose_disk_is_away_was_emptied_by_nobody(tmp_path: Path) -> None:
    """The same song, dropped again meanwhile: its first submission may have been charged."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    kept = str(home.quarantine)
    away = Anchor(kept, device=-1, top=f"{kept}/was mounted here")
    place = Place(outbox=str(home.outbox), quarantine=kept, anchors={kept: away})
    song = make_song(home.inbox / "song.wav", seconds=1)
    candidate = Candidate(str(song), song.name, Options(), str(home.outbox))

    async def scenario() -> Job | None:
        async with context_of(home, place=place) as context:
            intake = intake_of(context, place)
            first = await intake.admit(candidate, patient=False)
            intended = await context.journal.intend(
                first, idempotency_key="k1", minutes=1, price=0.1, limits=[]
            )
            held = await context.journal.advance(
                intended, JobState.QUARANTINED, **UNCONFIRMED, filed_to=f"{kept}/song.wav"
            )
            with pytest.raises(PauseService) as fault:
                await intake.admit(candidate, patient=False)
            assert fault.value.code == "disk"
            return await context.journal.get(held.id)

    held = asyncio.run(scenario())
    assert held is not None
    assert (held.state, held.code) == (JobState.QUARANTINED, "submission_unconfirmed")


def test_a_file_that_comes_over_http_while_a_scan_finds_it_is_one_job(tmp_path: Path) -> None:
    """Its path has an earlier job, so that both look for jobs first. It became two."""
    kept = tmp_path / "quarantine" / "song.wav"
    kept.parent.mkdir()
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    song = make_song(inbox / "song.wav", seconds=1)
    kept.write_bytes(song.read_bytes())
    candidate = Candidate(str(song), song.name, Options(), str(tmp_path / "outbox"))
    asked: list[Job] = []
    go_on = asyncio.Event()
    read = 0

    async def demand(job: Job) -> None:
        asked.append(job)
        await go_on.wait()

    def same(one: Identity | None, other: Identity) -> bool:
        nonlocal read
        read += 1
        return one == other

    async def scenario() -> list[Job]:
        async with _taking(tmp_path, same, demand) as (intake, journal):
            first = await intake.admit(candidate, patient=False)
            refused = {"code": "unsupported", "message": "no.", "filed_to": str(kept)}
            await journal.advance(first, JobState.QUARANTINED, **refused)
            began = read
            both = [asyncio.create_task(intake.admit(candidate, patient=False)) for _ in range(2)]
            await wait_for_async(lambda: asked and read >= began + 2)
            for _ in range(9):  # whoever does not wait for the other has looked by then
                await journal.akin(candidate.path, "")
            go_on.set()
            return list(await asyncio.gather(*both))

    one, other = asyncio.run(scenario())
    assert one.id == other.id
    assert one.state is JobState.QUEUED


def test_a_file_that_is_refused_twice_at_once_is_one_job(tmp_path: Path) -> None:
    """Its sender has it admitted as it stands, while a scan has found it as well."""
    song = tmp_path / "song.mp3"
    song.write_bytes(b"no audio at all")
    candidate = Candidate(str(song), song.name, Options(), str(tmp_path / "outbox"))

    async def scenario() -> list[Job]:
        async with _taking(tmp_path) as (intake, _):
            both = (intake.admit(candidate, patient=False) for _ in range(2))
            return list(await asyncio.gather(*both))

    one, other = asyncio.run(scenario())
    assert one.id == other.id
    assert one.state is JobState.QUARANTINED
