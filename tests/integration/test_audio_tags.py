"""Tags of a song and their copy in its stems."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import av
import mutagen
import mutagen.flac
import mutagen.id3
import mutagen.mp4
import mutagen.oggopus
import mutagen.wave
import numpy as np
import pytest
import taglib

from stemwatch.audio.results import StemTag
from stemwatch.audio.stemtags import write_tags
from stemwatch.audio.tagging.song_tags import Cover, SourceTags
from stemwatch.audio.tags import read_tags
from stemwatch.outbox.measuring import measure
from tests.support.audio_samples import decoded, overwrite, tone, write
from tests.support.retag import retag

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
TEXT = {
    "title": "Söng",
    "artist": "Somebody",
    "album": "Album",
    "albumartist": "Several",
    "date": "1999",
    "genre": "Rock",
    "tracknumber": "3/12",
    "discnumber": "1/2",
    "bpm": "124",
    "key": "Gm",
}
FULL = SourceTags({name: (value,) for name, value in TEXT.items()}, Cover(PNG, "image/png"))


def song(path: Path) -> Path:
    """A song of the path's format that holds TEXT and PNG, written without our own code."""
    write(path, tone(1))
    {"m4a": _tag_m4a, "ogg": _tag_ogg, "flac": _tag_flac}.get(path.suffix[1:], _tag_id3)(path)
    return path


@pytest.mark.parametrize("format", ["mp3", "wav", "flac", "m4a", "ogg"])
def test_tags_and_cover_are_read_from_every_format(tmp_path: Path, format: str) -> None:
    """The same song gives the same tags in each of them."""
    tags = read_tags(os.fspath(song(tmp_path / f"a.{format}")))
    assert {name: values[0] for name, values in tags.text.items()} == TEXT
    assert tags.cover == Cover(PNG, "image/png")
    assert tags.note is None


def test_webm_tags_are_read(tmp_path: Path) -> None:
    """Matroska's own names become ours."""
    path = tmp_path / "a.webm"
    with av.open(os.fspath(path), "w", format="webm") as file:
        file.metadata.update(title="Söng", artist="Somebody", album_artist="Several")
        stream = file.add_stream("libopus", rate=48_000)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(tone(1).reshape(1, -1), format="flt", layout="stereo")
        frame.sample_rate = 48_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    text = read_tags(os.fspath(path)).text
    assert text["title"] == ("Söng",)
    assert text["artist"] == ("Somebody",)
    assert text["albumartist"] == ("Several",)


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    """An M4A named .mp3 gives its tags."""
    path = song(tmp_path / "a.m4a").rename(tmp_path / "a.mp3")
    assert read_tags(os.fspath(path)).text["artist"] == ("Somebody",)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_stems_get_tags_and_keep_their_audio_bit_for_bit(tmp_path: Path, format: str) -> None:
    """Everything is copied but the title, the song's own tempo and key win, no sample changes."""
    stem = write(tmp_path / f"stem.{format}")
    before = decoded(stem)
    own = StemTag("Söng (Vocals)", "Vocals", 2)
    note = write_tags(os.fspath(stem), format, FULL, own, bpm=93.5, key="C#m")
    assert note is None
    assert np.array_equal(decoded(stem), before)
    tags = read_tags(os.fspath(stem))
    expected = TEXT | {
        "title": "Söng (Vocals)",
        "album": "Album (Stems)",
        "grouping": "Vocals",
        "tracknumber": "2",
    }
    assert {name: values[0] for name, values in tags.text.items()} == expected
    assert tags.cover == FULL.cover


def test_detected_tempo_and_key_fill_what_the_song_lacks(tmp_path: Path) -> None:
    """FLAC: BPM, INITIALKEY and KEY; ID3: TBPM with its fraction, TKEY musical."""
    flac, mp3 = write(tmp_path / "a.flac"), write(tmp_path / "a.mp3")
    for stem, format in ((flac, "flac"), (mp3, "mp3")):
        write_tags(os.fspath(stem), format, SourceTags(), StemTag("T"), bpm=123.98, key="C#m")
    comments = mutagen.flac.FLAC(flac)
    assert [comments[name] for name in ("BPM", "INITIALKEY", "KEY")] == [
        ["123.98"],
        ["C#m"],
        ["C#m"],
    ]
    frames = mutagen.id3.ID3(mp3)
    assert (frames["TBPM"].text, frames["TKEY"].text) == (["123.98"], ["C#m"])


@pytest.mark.parametrize(
    ("own", "written"),
    [
        ("A minor", "Am"),
        ("bb min", "Bbm"),
        ("08A", "Am"),
        ("8B", "C"),
        ("1m", "Am"),
        ("c", "Cm"),
        ("atonal", "A"),
    ],
)
def test_the_songs_own_key_is_written_alike_in_every_format(
    tmp_path: Path, own: str, written: str
) -> None:
    """As all programs sort it; TKEY holds three characters. What is no key yields to A."""
    tags = SourceTags({"key": (own,)})
    for format in ("wav", "flac", "mp3"):
        stem = os.fspath(write(tmp_path / f"a.{format}", tone(1)))
        write_tags(stem, format, tags, StemTag("T"), bpm=None, key="A")
        assert read_tags(stem).text["key"] == (written,)


@pytest.mark.parametrize(
    ("own", "exact", "whole"),
    [
        ("128 BPM", "128", "128"),
        ("124,57", "124.57", "125"),
        ("93.50", "93.5", "94"),
        ("100", "100.4", "100"),  # rounded: the detected fraction is what it was
        ("100.1", "100.1", "100"),
        ("101", "101", "101"),
        ("0", "100.4", "100"),
        ("fast", "100.4", "100"),
        ("140-150", "100.4", "100"),
    ],
)
def test_the_songs_own_tempo_is_a_number(tmp_path: Path, own: str, exact: str, whole: str) -> None:
    """With a point, in every format alike; what is none yields to the detected 100.4."""
    tags = SourceTags({"bpm": (own,)})
    for format in ("wav", "flac", "mp3"):
        stem = os.fspath(write(tmp_path / f"a.{format}", tone(1)))
        for rounded, expected in ((False, exact), (True, whole)):
            write_tags(stem, format, tags, StemTag("T"), bpm=100.4, key=None, whole=rounded)
            assert read_tags(stem).text["bpm"] == (expected,)
    stem = os.fspath(write(tmp_path / "b.flac", tone(1)))
    write_tags(stem, "flac", SourceTags({"bpm": ("0",)}), StemTag("T"), bpm=None, key=None)
    assert "bpm" not in read_tags(stem).text


@pytest.mark.parametrize(
    ("own", "given", "title"),
    [
        ("The real title", "01 - 9f3a (Vocals)", "The real title (Vocals)"),
        ("Song (Live)", "song (Live) (No Drums)", "Song (Live) (No Drums)"),
        ("Song", "x (Mix (Loud))", "Song (Mix (Loud))"),
        ("", "01 - 9f3a (Vocals)", "01 - 9f3a (Vocals)"),
        ("Song", "Vocals", "Vocals"),
    ],
)
def test_a_stem_has_the_title_of_its_song(tmp_path: Path, own: str, given: str, title: str) -> None:
    """The file's name only where the song has none."""
    stem = os.fspath(write(tmp_path / "a.flac", tone(1)))
    write_tags(stem, "flac", SourceTags({"title": (own,)}), StemTag(given), bpm=None, key=None)
    assert read_tags(stem).text["title"] == (title,)


@pytest.mark.parametrize("format", ["wav", "mp3"])
def test_the_grouping_has_the_names_of_all_readers(tmp_path: Path, format: str) -> None:
    """TIT1, and iTunes's GRP1: to TagLib 2, TIT1 alone is the work. A song's GRP1 is read first."""
    stem = write(tmp_path / f"a.{format}", tone(1))
    write_tags(os.fspath(stem), format, FULL, StemTag("T", "Vocals"), bpm=None, key=None)
    with taglib.File(os.fspath(stem)) as read:
        assert read.tags["GROUPING"] == ["Vocals"]
    file = mutagen.File(stem)
    assert file.tags["TIT1"].text == file.tags["GRP1"].text == ["Vocals"]
    file.tags["GRP1"].text = ["Set"]
    file.save()
    assert read_tags(os.fspath(stem)).text["grouping"] == ("Set",)


def test_a_cover_that_is_too_large_costs_the_cover_only(tmp_path: Path) -> None:
    """A FLAC's blocks end at 16 MB; it cost all tags."""
    stem = os.fspath(write(tmp_path / "a.flac", tone(1)))
    tags = SourceTags({"artist": ("Somebody",)}, Cover(PNG + bytes(1 << 24), "image/png"))
    note = write_tags(stem, "flac", tags, StemTag("T"), bpm=None, key=None)
    assert "cover was left out" in (note or "")
    written = read_tags(stem)
    assert (written.text["artist"], written.cover) == (("Somebody",), None)


def test_several_artists_stay_several(tmp_path: Path) -> None:
    """A list of values is copied as a list."""
    stem = write(tmp_path / "a.flac")
    tags = SourceTags({"artist": ("One", "Two")})
    write_tags(os.fspath(stem), "flac", tags, StemTag("T"), bpm=None, key=None)
    assert mutagen.flac.FLAC(stem)["ARTIST"] == ["One", "Two"]


def test_broken_tags_cost_tags_not_the_delivery(tmp_path: Path) -> None:
    """What can't be read or written becomes a note."""
    path = overwrite(song(tmp_path / "a.flac"), 0.0005, 0.004)
    assert "can't be read" in (read_tags(os.fspath(path)).note or "")
    stem = tmp_path / "stem.wav"
    stem.write_bytes(b"no RIFF at all, far too short")
    note = write_tags(os.fspath(stem), "wav", FULL, StemTag("T"), bpm=None, key=None)
    assert "No tags were written" in (note or "")


@pytest.mark.parametrize("kind", ["gone", "a folder", "a loop"])
def test_an_original_that_can_not_be_read_costs_its_tags_only(tmp_path: Path, kind: str) -> None:
    """Taken away after it was paid for: a note, and the stems get what is known without it."""
    path = tmp_path / "song.flac"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a loop":
        path.symlink_to(path)
    tags = read_tags(os.fspath(path))
    assert "can't be read" in (tags.note or "")
    stem = write(tmp_path / "stem.flac")
    assert write_tags(os.fspath(stem), "flac", tags, StemTag("T"), bpm=99.0, key=None) is None
    written = mutagen.flac.FLAC(stem)
    assert (written["TITLE"], written["BPM"]) == (["T"], ["99"])


def test_a_vanished_stem_is_an_os_error_and_no_note(tmp_path: Path) -> None:
    """A disk's fault is not taken for a broken tag."""
    with pytest.raises(FileNotFoundError):
        write_tags(
            os.fspath(tmp_path / "gone.flac"), "flac", FULL, StemTag("T"), bpm=None, key=None
        )


def _tag_id3(path: Path) -> None:
    audio = mutagen.wave.WAVE(path) if path.suffix == ".wav" else mutagen.File(path)
    if audio.tags is None:
        audio.add_tags()
    ids = ["TIT2", "TPE1", "TALB", "TPE2", "TDRC", "TCON", "TRCK", "TPOS", "TBPM", "TKEY"]
    for frame, value in zip(ids, TEXT.values(), strict=True):
        audio.tags.add(mutagen.id3.Frames[frame](encoding=3, text=[value]))
    audio.tags.add(mutagen.id3.APIC(encoding=3, mime="image/png", type=3, desc="c", data=PNG))
    audio.save()


def _picture() -> mutagen.flac.Picture:
    picture = mutagen.flac.Picture()
    picture.type, picture.mime, picture.data = 3, "image/png", PNG
    return picture


def _tag_flac(path: Path) -> None:
    audio = mutagen.flac.FLAC(path)
    audio.update({"initialkey" if name == "key" else name: value for name, value in TEXT.items()})
    audio.add_picture(_picture())
    audio.save()


def _tag_ogg(path: Path) -> None:
    audio = mutagen.oggopus.OggOpus(path)
    audio.update(TEXT)
    audio["metadata_block_picture"] = base64.b64encode(_picture().write()).decode()
    audio.save()


def _tag_m4a(path: Path) -> None:
    audio = mutagen.mp4.MP4(path)
    audio.update(
        {
            "©nam": TEXT["title"],
            "©ART": TEXT["artist"],
            "©alb": TEXT["album"],
            "aART": TEXT["albumartist"],
            "©day": TEXT["date"],
            "©gen": TEXT["genre"],
            "trkn": [(3, 12)],
            "disk": [(1, 2)],
            "tmpo": [124],
            "----:com.apple.iTunes:initialkey": [b"Gm"],
            "covr": [mutagen.mp4.MP4Cover(PNG, mutagen.mp4.MP4Cover.FORMAT_PNG)],
        }
    )
    audio.save()


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_tags_are_written_afresh_where_they_are_another_deliverys(
    tmp_path: Path, format: str
) -> None:
    """Nothing is left of what somebody wrote into the earlier stem, its sound is."""
    stem = retag(write(tmp_path / f"stem.{format}"), "mine", cover=5_000)
    if format == "wav":
        with open(stem, "r+b") as file:
            words = b"INFOINAM" + (6).to_bytes(4, "little") + b"mine2\0"
            file.seek(0, os.SEEK_END)
            file.write(b"LIST" + len(words).to_bytes(4, "little") + words)
            size = file.tell() - 8
            file.seek(4)
            file.write(size.to_bytes(4, "little"))
    before = measure(os.fspath(stem)).audio_sha256
    tags = SourceTags({"artist": ("Ours",)})
    told = write_tags(os.fspath(stem), format, tags, StemTag("T"), bpm=None, key=None, afresh=True)
    assert told is None
    assert measure(os.fspath(stem)).audio_sha256 == before is not None
    assert b"mine" not in stem.read_bytes()
    assert b"PNG" not in stem.read_bytes()
    assert read_tags(os.fspath(stem)).text == {"title": ("T",), "artist": ("Ours",)}
