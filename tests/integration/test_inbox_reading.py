"""Files that are read in the second half of their quiet window, and what is read again."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.audio.results import Probe
from stemwatch.inbox.examine import examine
from stemwatch.inbox.reading import _TICK, AHEAD, FileReader, Reading, _Ahead
from stemwatch.job import Identity
from tests.support.scenario.caller import make_song
from tests.support.waiting import wait_for_async

SECONDS = 1.0


class Counted(AudioHelper):
    """The real helper; it notes what is probed."""

    def __init__(self) -> None:
        super().__init__()
        self.probed: list[str] = []

    async def probe(self, path: str, *, small: bool = False) -> Probe:  # noqa: ARG002
        self.probed.append(path)
        return await super().probe(path)


def read(work: Callable[[FileReader], Awaitable[Reading]]) -> tuple[Reading, list[str]]:
    """What `work` reads, and each probe that it took."""

    async def run() -> tuple[Reading, list[str]]:
        audio = Counted()
        reader = FileReader(audio, max_bytes=10_000_000, same=lambda one, other: one == other)
        try:
            return await work(reader), audio.probed
        finally:
            await reader.close()
            await audio.close()

    return asyncio.run(run())


async def _tick_after(path: str) -> None:
    """Within a tick of the kernel's clock a second change would not show."""
    await wait_for_async(lambda: time.time_ns() - os.stat(path).st_ctime_ns > 30_000_000)


async def _read_ahead(reader: FileReader, path: str) -> None:
    await _tick_after(path)
    reader.expect(path)
    await asyncio.wait([reader._ahead[path].task])


def test_what_stood_still_is_not_read_twice(tmp_path: Path) -> None:
    """The reading that was made ahead of time is the same as one made afterwards."""
    path = str(make_song(tmp_path / "song.wav", SECONDS))

    async def ahead(reader: FileReader) -> Reading:
        await _read_ahead(reader, path)
        return await reader.read(path, patient=True)

    async def afterwards(reader: FileReader) -> Reading:
        return await reader.read(path, patient=True)

    early, probes = read(ahead)
    assert probes == [path]
    assert early == read(afterwards)[0]
    assert early.probe is not None


def test_a_reading_under_way_is_waited_for(tmp_path: Path) -> None:
    """A large file whose hash takes longer than its window is not begun again at its end."""
    path = str(make_song(tmp_path / "song.wav", SECONDS))

    async def at_once(reader: FileReader) -> Reading:
        await _tick_after(path)
        reader.expect(path)
        return await reader.read(path, patient=True)

    reading, probes = read(at_once)
    assert reading.probe is not None
    assert probes == [path]


@pytest.mark.parametrize("keeps_mtime", [False, True])
def test_what_changed_since_is_read_again(tmp_path: Path, keeps_mtime: bool) -> None:
    """Also where a tagger rewrote it in place and put its mtime back: the ctime tells."""
    song = make_song(tmp_path / "song.wav", SECONDS)
    other = make_song(tmp_path / "other.wav", SECONDS, name="other").read_bytes()

    async def changed(reader: FileReader) -> Reading:
        await _read_ahead(reader, str(song))
        before = song.stat()
        while song.stat().st_ctime_ns == before.st_ctime_ns:  # the kernel's clock ticks in ms
            song.write_bytes(other)
            if keeps_mtime:
                os.utime(song, ns=(before.st_atime_ns, before.st_mtime_ns))
        if keeps_mtime:
            assert Identity.of(song.stat()) == Identity.of(before)
        return await reader.read(str(song), patient=True)

    async def plain(reader: FileReader) -> Reading:
        return await reader.read(str(tmp_path / "other.wav"), patient=True)

    reading, probes = read(changed)
    assert reading.sha256 == read(plain)[0].sha256
    assert len(probes) == 2


def test_what_may_have_changed_within_a_tick_is_read_again(tmp_path: Path) -> None:
    """A change right before it was read may hide another one right after it."""
    song = make_song(tmp_path / "song.wav", SECONDS)

    async def too_soon(reader: FileReader) -> Reading:
        late = True
        while late:  # a busy machine may take longer than a tick between the two
            os.utime(song)
            reader.expect(str(song))
            late = reader._ahead[str(song)].began - song.stat().st_ctime_ns > _TICK
        return await reader.read(str(song), patient=True)

    assert len(read(too_soon)[1]) == 2


def test_a_file_system_that_counts_in_seconds_is_not_relied_upon(tmp_path: Path) -> None:
    """As ext3, or ext4 with small inodes: two changes of one second have one ctime."""
    reading = read(lambda reader: reader.read(str(make_song(tmp_path / "a.wav")), patient=True))[0]
    ahead = _Ahead(None, threading.Event(), time.time_ns() + 10**9)  # type: ignore[arg-type]
    whole = reading.ctime_ns // 10**9 * 10**9
    assert ahead.holds(reading._replace(ctime_ns=whole + 1))
    assert not ahead.holds(reading._replace(ctime_ns=whole))


def test_a_hash_that_nobody_waits_for_ends_soon(tmp_path: Path) -> None:
    """Its thread would read on, to the end of 100 MB, beside the next one."""
    song = make_song(tmp_path / "song.wav", SECONDS)
    given_up = threading.Event()
    given_up.set()
    with pytest.raises(InterruptedError):
        examine(str(song), 10_000_000, False, given_up)


def test_one_that_is_not_whole_yet_is_looked_at_again(tmp_path: Path) -> None:
    """What seemed to be missing may have come since, in a file whose size was set at once."""
    song = make_song(tmp_path / "song.wav", SECONDS)
    whole = song.read_bytes()

    async def grows(reader: FileReader) -> Reading:
        song.write_bytes(whole[: len(whole) // 2])
        await _read_ahead(reader, str(song))
        song.write_bytes(whole)
        return await reader.read(str(song), patient=True)

    reading, _ = read(grows)
    assert reading.lack is None
    assert reading.probe is not None


def test_no_more_than_a_few_are_read_ahead(tmp_path: Path) -> None:
    """A whole album that settles at once is hashed in its turn; what is forgotten frees a seat."""
    songs = [make_song(tmp_path / f"{n}.wav", 0.1, name=str(n)) for n in range(AHEAD + 2)]

    async def many(reader: FileReader) -> Reading:
        await _tick_after(str(songs[-1]))
        for song in songs:
            reader.expect(str(song))
        assert list(reader._ahead) == [str(song) for song in songs[:AHEAD]]
        reader.forget(str(songs[0]))
        reader.expect(str(songs[-1]))
        assert list(reader._ahead) == [str(song) for song in (*songs[1:AHEAD], songs[-1])]
        return await reader.read(str(songs[-1]), patient=True)

    reading, probes = read(many)
    assert reading.probe is not None
    assert probes.count(str(songs[-1])) == 1


def test_one_that_is_gone_says_so(tmp_path: Path) -> None:
    song = make_song(tmp_path / "song.wav", SECONDS)

    async def gone(reader: FileReader) -> Reading:
        await _read_ahead(reader, str(song))
        song.unlink()
        return await reader.read(str(song), patient=True)

    with pytest.raises(FileNotFoundError):
        read(gone)
