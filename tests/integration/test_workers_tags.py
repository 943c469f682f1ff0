"""Tags of an original that can't be reached: the stems are worth more."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import mutagen.flac
import mutagen.id3
import mutagen.wave
import pytest

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.codes import Code
from stemwatch.disks.places import Anchor, Place
from stemwatch.errors import PauseService, RetryLater
from stemwatch.job import Options
from stemwatch.outbox.staging import Staging
from stemwatch.workers.steps import deliver
from stemwatch.workers.steps.finishing import own_tags
from tests.acceptance.harness import Home
from tests.support.audio_samples import write
from tests.support.broken import TAGS_DISK, Broken
from tests.support.context import context_of
from tests.support.journal import new_job


def test_a_share_that_is_away_is_not_asked_for_tags(tmp_path: Path) -> None:
    """Where it hangs, each stem would wait for ten minutes, and be downloaded again after them."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.outbox.mkdir(exist_ok=True)
    inbox, outbox = os.fspath(home.inbox), os.fspath(home.outbox)
    os.mkfifo(home.inbox / "song.flac")  # whoever opens it hangs
    away = Anchor(inbox, None, f"{inbox}/deeper/than/this")
    place = Place(outbox=outbox, inbox=inbox, anchors={inbox: away})
    path = f"{inbox}/song.flac"
    job = new_job(path=path, relpath="song.flac", outbox=outbox, options=Options(2, "flac"))
    staging = Staging(outbox, "1-x", "flac")
    write(Path(staging.part("vocals")), format="flac")

    async def scenario() -> None:
        async with context_of(home, place=place) as ctx, asyncio.timeout(60):
            await deliver.tag(ctx, job, staging, "vocals")

    asyncio.run(scenario())
    assert mutagen.flac.FLAC(staging.part("vocals"))["TITLE"] == ["song (Vocals)"]


class Unmounting(AudioHelper):
    """A real helper; `folder` goes away while it waits for a disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(timeout=0.3)
        self.folder: Path | None = folder

    async def tag(self, *args: Any, **options: Any) -> list[str]:
        if self.folder is not None:
            self.folder.rename(self.folder.with_name("away"))
            self.folder = None
        return await super().tag(*args, **options)


@pytest.mark.parametrize(("name", "code"), [("inbox", "untagged"), ("outbox", "disk")])
def test_a_disk_that_hangs_under_the_tags_is_no_fault_of_the_song(
    tmp_path: Path, name: str, code: str
) -> None:
    """It is tried again with its tags: without them its stems would stay untagged for good."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.outbox.mkdir(exist_ok=True)
    inbox, outbox, path = os.fspath(home.inbox), os.fspath(home.outbox), tmp_path / "song.flac"
    os.mkfifo(path)  # whoever opens it hangs
    anchors = {folder: Anchor(folder) for folder in (inbox, outbox)}
    assert all(anchor.holds() for anchor in anchors.values())
    place = Place(outbox=outbox, inbox=inbox, anchors=anchors)
    job = new_job(path=f"{path}", relpath="song.flac", outbox=outbox, options=Options(2, "flac"))
    staging = Staging(outbox, "1-x", "flac")
    write(Path(staging.part("vocals")), format="flac")
    folder = {"inbox": home.inbox, "outbox": home.outbox}[name]

    async def scenario() -> None:
        async with context_of(home, place=place) as ctx, asyncio.timeout(60):
            ctx.audio = impatient = Unmounting(folder)
            with pytest.raises((RetryLater, PauseService)) as raised:
                await deliver.tag(ctx, job, staging, "vocals")
            await impatient.close()
            assert raised.value.code == code
            assert ctx.memory.untagged == set()

    asyncio.run(scenario())


def test_tags_that_take_for_ever_are_left_out(tmp_path: Path) -> None:
    """The helper is ended, perhaps in the midst of a stem: that one is fetched again, untagged."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.outbox.mkdir(exist_ok=True)
    outbox, path = os.fspath(home.outbox), os.fspath(home.inbox / "song.flac")
    os.mkfifo(path)  # whoever opens it hangs
    place = Place(outbox=outbox, inbox=os.fspath(home.inbox))
    job = new_job(path=path, relpath="song.flac", outbox=outbox, options=Options(2, "flac"))
    staging = Staging(outbox, "1-x", "flac")
    write(Path(staging.part("vocals")), format="flac")

    async def scenario() -> None:
        async with context_of(home, place=place) as ctx, asyncio.timeout(60):
            impatient = AudioHelper(timeout=0.3)
            ctx.audio = impatient
            with pytest.raises(RetryLater) as raised:
                await deliver.tag(ctx, job, staging, "vocals")
            assert (raised.value.counts, raised.value.after) == (False, 0.0)
            await deliver.tag(ctx, job, staging, "vocals")
            await impatient.close()

    asyncio.run(scenario())
    assert not mutagen.flac.FLAC(staging.part("vocals")).tags


def test_a_disk_that_fails_under_the_songs_tags_is_given_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and tempo are told once and for good; after some tries a song goes on without."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    song = wave_of(home.inbox / "song.wav", "An artist")
    broken = Broken(tmp_path)
    broken.by(TAGS_DISK)
    monkeypatch.setenv("PYTHONPATH", broken.env["PYTHONPATH"])
    job = new_job(path=song, relpath="song.wav", outbox=os.fspath(home.outbox))

    async def scenario() -> None:
        async with context_of(home) as ctx, asyncio.timeout(60):
            with pytest.raises(RetryLater, match="Input/output error") as raised:
                await own_tags.read(ctx, job)
            fault = raised.value
            assert (fault.code, fault.counts) == (Code.DISK_ERROR, True)
            last = job.evolve(attempts=int(fault.rule.tries) - 1)
            tags, note = await own_tags.read(ctx, last)
            assert (tags, "Input/output error" in (note or "")) == ({}, True)
            broken.mend()
            ctx.audio._helpers.retire_idle()  # the next helper is a sound one
            assert (await own_tags.read(ctx, job))[0]["artist"] == ["An artist"]
            os.unlink(song)  # its disk is well: nothing is waited for
            assert await own_tags.read(ctx, job) == ({}, None)

    asyncio.run(scenario())


def wave_of(path: Path, artist: str) -> str:
    write(path, format="wav")
    wave = mutagen.wave.WAVE(path)
    wave.add_tags()
    wave.tags.add(mutagen.id3.TPE1(encoding=3, text=[artist]))
    wave.save()
    return os.fspath(path)
