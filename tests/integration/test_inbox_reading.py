"""Files that are read in the second half of their quiet window, and what is read again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from stemwatch.audio.client import AudioHelper
from stemwatch.audio.results import Probe
from stemwatch.inbox.reading import AHEAD, FileReader, Reading
from stemwatch.job import Identity
from tests.scenario.caller import make_song

SECONDS = 1.0


class Counted(AudioHelper):
    """The real helper; it notes what is probed."""

    def __init__(self) -> None:
        super().__init__()
        self.probed: list[str] = []

    async def probe(self, path: str) -> Probe:
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


async def _read_ahead(reader: FileReader, path: str) -> None:
    reader.expect(path)
    await asyncio.wait([reader._ahead[path]])


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
