"""What is read ahead of settling: only what the inbox's own disk tells every change of."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stemwatch import config
from stemwatch.disks.places import Place
from stemwatch.job import Identity
from stemwatch.service.admission import Front
from stemwatch.wiring.working_set import intake_of
from tests.acceptance.harness import Home
from tests.support.context import context_of

NOWHERE = "http://127.0.0.1:9/v1"  # nothing is submitted
SHM = Path("/dev/shm")  # noqa: S108


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk; as if it were mounted inside the inbox."""
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{SHM} is no other device than the temporary folder")
    with TemporaryDirectory(dir=SHM) as folder:
        yield Path(folder)


def read_ahead(home: Home, song: Path, *, ahead: bool = True) -> bool:
    """Whether this song is read before it has settled."""
    song.write_bytes(b"song")

    async def expected() -> bool:
        settings = config.load(str(home.config), env={})
        place = Place(outbox=settings.folders.outbox, inbox=settings.folders.inbox)
        async with context_of(home, place=place) as context:
            intake = intake_of(context, place)
            front = Front(settings.every_inbox[0], context, place, intake, ahead=ahead)
            front.expect(str(song), Identity.of(os.lstat(song)))
            reads = str(song) in intake.reader._ahead
            await front.close()
            return reads

    return asyncio.run(expected())


def test_a_song_on_the_inbox_s_own_disk_is_read_ahead(tmp_path: Path) -> None:
    home = Home(tmp_path, NOWHERE)
    assert read_ahead(home, home.inbox / "song.wav")
    assert not read_ahead(home, home.inbox / "song.wav", ahead=False)


def test_one_on_another_disk_is_not(tmp_path: Path, elsewhere: Path) -> None:
    """FAT keeps no ctime worth the name: what changed since it was hashed would not show."""
    assert not read_ahead(Home(tmp_path, NOWHERE), elsewhere / "song.wav")
