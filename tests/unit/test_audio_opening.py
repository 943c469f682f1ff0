"""Opening songs with whichever PyAV is installed: 18 on Python 3.11, 19 from Python 3.12 on."""

from __future__ import annotations

import os
from pathlib import Path

import av
import mutagen.flac
import pytest

from stemwatch.audio.frames import Source
from stemwatch.audio.probe import probe
from stemwatch.audio.results import StemTag
from stemwatch.audio.stemtags import write_tags
from stemwatch.audio.tags import read_tags
from tests.support.audio_samples import FORMATS, tone, write

LATIN_1 = "Söng".encode("latin-1")


def with_old_tag(path: Path, title: bytes = LATIN_1) -> Path:
    """A song of the name's format whose TITLE is Latin-1 where UTF-8 is expected."""
    write(path, tone(1))
    if path.suffix == ".webm":
        return _retitle(path)
    if path.suffix == ".mp3":
        tag = b"TAG" + LATIN_1.ljust(125, b"\0")  # ID3v1
    else:
        info = b"INFOINAM" + len(title).to_bytes(4, "little") + title
        tag = b"LIST" + len(info).to_bytes(4, "little") + info
    path.write_bytes(path.read_bytes() + tag)
    return path


def _retitle(path: Path) -> Path:
    """Copy the packets into a file with tags, and put the title's bytes in their place."""
    named = path.with_name("named.webm")
    with av.open(os.fspath(path)) as source, av.open(os.fspath(named), "w") as out:
        out.metadata.update(title="@@@@", artist="Sömebody")
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    path.write_bytes(named.read_bytes().replace(b"@@@@", LATIN_1))
    return path


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_opens(tmp_path: Path, format: str) -> None:
    """With no argument that one of the two PyAVs does not know."""
    found = probe(os.fspath(write(tmp_path / f"a.{format}", tone(1))))
    assert found.duration == pytest.approx(1.0, abs=0.1)
    assert found.codec != ""


@pytest.mark.parametrize("format", ["mp3", "wav", "webm"])
def test_a_tag_that_is_not_utf8_is_no_fault_of_the_song(tmp_path: Path, format: str) -> None:
    """PyAV 18 refuses to open it unless it is told otherwise; 19 gives surrogates."""
    path = os.fspath(with_old_tag(tmp_path / f"a.{format}"))
    assert probe(path).bad_packets == 0
    with Source(path) as source:
        assert "Söng" in source.metadata().values()


def test_a_tag_that_was_cut_within_a_letter_keeps_the_others(tmp_path: Path) -> None:
    """As programs with fields of a fixed length leave it: the rest is UTF-8 all the same."""
    cut = "Сон".encode()[:-1].ljust(8, b"\0")
    with Source(os.fspath(with_old_tag(tmp_path / "a.wav", cut))) as source:
        assert source.metadata()["title"] == "Со\ufffd"


def test_a_tag_that_is_not_utf8_is_read_as_windows_writes_it(tmp_path: Path) -> None:
    """What a stem is given can be written as UTF-8; the other tags are whole."""
    tags = read_tags(os.fspath(with_old_tag(tmp_path / "a.webm")))
    assert (tags.text["title"], tags.text["artist"]) == (("Söng",), ("Sömebody",))
    stem = write(tmp_path / "stem.flac", tone(1))
    assert write_tags(os.fspath(stem), "flac", tags, StemTag("T"), bpm=None, key=None) is None
    assert mutagen.flac.FLAC(stem)["ARTIST"] == ["Sömebody"]
