"""The way into the journal: what is read ahead of settling, and what is asked for over HTTP."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stemwatch import config
from stemwatch.disks.opening import NotYet
from stemwatch.disks.places import Place
from stemwatch.inbox.scan import Found
from stemwatch.job import Identity, Job, Options
from stemwatch.service.admission import Front
from stemwatch.wiring.working_set import intake_of
from tests.acceptance.harness import Home
from tests.acceptance.songs import drop
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


# -- what comes over HTTP --------------------------------------------------------------------

TWO = Options(stems=2)


class Inbox:
    """One whose songs become six stems, and the way into the journal."""

    def __init__(self, home: Home, front: Front) -> None:
        self._root = home.inbox
        self.front = front

    def land(self, number: int) -> None:
        drop(self._root / "a.wav", number)

    async def scan(self) -> Job:
        """What a scan that finds the song makes of it; and all that the journal has of its path."""
        path = self._root / "a.wav"
        found = Found(str(path), "a.wav", Identity.of(path.lstat()))
        await self.front.admit(found, patient=True)
        return (await self.jobs())[-1]

    async def jobs(self) -> list[Job]:
        path = str(self._root / "a.wav")
        found = await self.front._context.journal.at_paths([path])
        return sorted(found.get(path, []), key=lambda job: job.id)

    @contextmanager
    def opened_elsewhere(self) -> Iterator[None]:
        """Somebody who may not be disturbed: it can't be opened without waiting."""
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
        fd = os.open(self._root / "a.wav", os.O_RDWR)
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            yield
        finally:
            os.close(fd)
            signal.signal(signal.SIGIO, before)


def with_inbox(root: Path, doing: Callable[[Inbox], Awaitable[None]]) -> None:
    home = Home(root, NOWHERE, separation={"stems": 6}, presets={"karaoke": {"stems": 2}})

    async def go() -> None:
        settings = config.load(str(home.config), env={})
        place = Place(outbox=settings.folders.outbox, inbox=settings.folders.inbox)
        async with context_of(home, place=place) as context:
            intake = intake_of(context, place)
            front = Front(settings.every_inbox[0], context, place, intake, ahead=False)
            await doing(Inbox(home, front))
            await front.close()

    asyncio.run(go())


def test_what_was_asked_for_stays_until_the_song_is_taken(tmp_path: Path) -> None:
    """Its sender is told that it is separated all the same: so, and not as the inbox has it."""

    async def doing(inbox: Inbox) -> None:
        with inbox.front.asking("a.wav", TWO):
            inbox.land(1)
        with inbox.opened_elsewhere(), pytest.raises(NotYet):
            await inbox.front.admit_now("a.wav", TWO)
        assert (await inbox.scan()).options == TWO
        assert (await inbox.front.admit_now("a.wav", TWO)).id == (await inbox.jobs())[0].id

    with_inbox(tmp_path, doing)


def test_a_scan_that_met_the_song_earlier_asks_for_the_same(tmp_path: Path) -> None:
    """It is a second round's: with other options it would be another job, and be paid for."""

    async def doing(inbox: Inbox) -> None:
        with inbox.front.asking("a.wav", TWO):
            inbox.land(1)
        job = await inbox.front.admit_now("a.wav", TWO)
        assert (await inbox.scan()).id == job.id
        assert len(await inbox.jobs()) == 1

    with_inbox(tmp_path, doing)


@pytest.mark.parametrize("before", ["taken", "gone", "never there", "gone before a scan"])
def test_the_next_song_of_that_name_is_the_inboxs_own(tmp_path: Path, before: str) -> None:
    """Whatever became of the first one: nobody asked for two stems of this."""

    async def doing(inbox: Inbox) -> None:
        if before == "never there":
            with pytest.raises(FileExistsError), inbox.front.asking("a.wav", TWO):
                raise FileExistsError
        else:
            with inbox.front.asking("a.wav", TWO):
                pass
        if before == "taken":
            inbox.land(1)
            assert (await inbox.front.admit_now("a.wav", TWO)).options == TWO
        if before == "gone before a scan":
            with inbox.front.asking("a.wav", TWO):
                inbox.land(1)
            with inbox.opened_elsewhere(), pytest.raises(NotYet):
                await inbox.front.admit_now("a.wav", TWO)
        if before == "gone":
            with pytest.raises(FileNotFoundError):
                await inbox.front.admit_now("a.wav", TWO)
        inbox.land(2)
        assert (await inbox.scan()).options.stems == 6

    with_inbox(tmp_path, doing)


def test_a_second_sender_of_that_name_takes_nothing_from_the_first(tmp_path: Path) -> None:
    """Both saw that the name was free: the second one goes on to another name."""

    async def doing(inbox: Inbox) -> None:
        with inbox.front.asking("a.wav", TWO):
            inbox.land(1)
        with pytest.raises(FileExistsError), inbox.front.asking("a.wav", Options(stems=4)):
            raise FileExistsError
        assert (await inbox.scan()).options == TWO

    with_inbox(tmp_path, doing)


def test_two_senders_of_that_name_at_once_keep_the_wish_of_the_one_that_landed(
    tmp_path: Path,
) -> None:
    """A scan would take its song as the inbox has it, and then it would be paid for twice."""

    async def doing(inbox: Inbox) -> None:
        began, over = threading.Event(), threading.Event()

        def late() -> None:
            with suppress(FileExistsError), inbox.front.asking("a.wav", Options(stems=4)):
                began.set()
                over.wait()
                raise FileExistsError

        def first() -> None:
            with inbox.front.asking("a.wav", TWO):
                inbox.land(1)

        senders = [threading.Thread(target=late), threading.Thread(target=first)]
        senders[0].start()
        began.wait()
        senders[1].start()
        senders[1].join(0.3)  # it has every chance to land before the late one gives up
        over.set()
        for sender in senders:
            sender.join()
        assert (await inbox.scan()).options == TWO

    with_inbox(tmp_path, doing)


# -- folders that look like a preset's ---------------------------------------------------------


def test_a_folder_that_is_nearly_a_presets_is_told_once_however_many_songs_came_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Songs directly in the inbox used up what is remembered of folders, and memory for years."""

    async def doing(inbox: Inbox) -> None:
        names = [f"{number}.wav" for number in range(4097)] + ["karoke/a.wav", "karoke/b.wav"]
        for name in names:  # it is told before the song is looked at
            with pytest.raises(FileNotFoundError):
                await inbox.front.admit_now(name, TWO)

    with_inbox(tmp_path, doing)
    assert capsys.readouterr().err.count("preset.near_miss") == 1
