"""The quick looks at a file say what a demux of every packet says, or leave it to that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stemwatch.audio.frames import Source
from stemwatch.audio.probe import probe
from stemwatch.audio.surveys.by_blocks import by_blocks
from stemwatch.audio.surveys.by_frames import by_frames
from stemwatch.audio.surveys.by_index import by_index
from stemwatch.audio.surveys.by_packets import by_packets
from stemwatch.audio.surveys.seen import Survey
from tests.support import odd_files
from tests.support.audio_samples import tone, write
from tests.support.odd_files import encode

SECONDS = 12.0


def looked(path: Path, look: Callable[[Source], Survey | None]) -> Survey | None:
    with Source(os.fspath(path)) as source:
        return look(source)


@pytest.mark.parametrize(
    ("format", "look"), [("mp3", by_frames), ("m4a", by_index), ("webm", by_blocks)]
)
def test_a_quick_look_counts_what_a_demux_counts(
    tmp_path: Path, format: str, look: Callable[[Source], Survey | None]
) -> None:
    """The same packets and the same time, with nothing in doubt."""
    path = write(tmp_path / f"a.{format}", tone(SECONDS))
    quick, slow = looked(path, look), looked(path, by_packets)
    assert quick is not None
    assert slow is not None
    assert quick.packets == slow.packets
    assert quick.plays == pytest.approx(slow.plays, abs=0.06)
    assert not quick.suspicious
    assert quick.decoded > 0


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("fragments.mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
        ("live.webm", "libopus", {"live": "1"}),
        ("lossless.mka", "flac", {}),
        ("lossless.m4a", "alac", {}),
    ],
)
def test_what_is_not_plain_has_its_length_all_the_same(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    """Fragments and clusters of no told size are demuxed; what holds other codecs is looked at."""
    rate = 48_000 if codec == "libopus" else 44_100
    container = {"webm": "webm", "mka": "matroska"}.get(name[-4:].lstrip("."), "mp4")
    path = encode(tmp_path / name, codec, SECONDS, rate=rate, container=container, options=options)
    assert probe(os.fspath(path)).duration == pytest.approx(SECONDS, abs=0.1)


def test_a_film_and_another_container_are_left_to_the_demuxer(tmp_path: Path) -> None:
    """Each quick look knows what it can't follow."""
    film = odd_files.film_outlasts_sound(tmp_path / "a.webm", 2.0, 3.0)
    assert looked(film, by_blocks) is None
    flac = write(tmp_path / "a.flac", tone(1.0))
    assert [looked(flac, look) for look in (by_frames, by_index, by_blocks)] == [None] * 3
