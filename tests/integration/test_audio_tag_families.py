"""Tags of every family that real songs have, each written without our own code."""

from __future__ import annotations

import base64
import os
import struct
from pathlib import Path

import av
import mutagen.aiff
import mutagen.apev2
import mutagen.flac
import mutagen.id3
import mutagen.mp4
import mutagen.ogg
import mutagen.oggflac
import mutagen.oggspeex
import mutagen.oggvorbis
import pytest

from stemwatch.audio.frames import Source
from stemwatch.audio.tagging.song_tags import Cover, SourceTags
from stemwatch.audio.tags import read_tags
from tests.support.audio_samples import tone, write
from tests.support.odd_files import encode

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


def read(path: Path) -> SourceTags:
    tags = read_tags(os.fspath(path))
    assert tags.note is None
    return tags


def texts(path: Path) -> dict[str, str]:
    return {name: values[0] for name, values in read(path).text.items()}


def id3v1(**fields: str) -> bytes:
    sizes = {"title": 30, "artist": 30, "album": 30, "date": 4, "comment": 28}
    body = b"".join(fields.get(n, "").encode().ljust(size, b"\0") for n, size in sizes.items())
    return b"TAG" + body + bytes([0, int(fields.get("track", 0)), int(fields.get("genre", 255))])


def test_id3v1_alone_is_read(tmp_path: Path) -> None:
    """292 of 2,516 real files had nothing else."""
    path = write(tmp_path / "a.mp3", tone(1))
    tag = id3v1(title="A title", artist="An artist", date="1999", track="3", genre="18")
    path.write_bytes(path.read_bytes() + tag)
    assert texts(path) == {
        "title": "A title",
        "artist": "An artist",
        "date": "1999",
        "tracknumber": "3",
        "genre": "Techno",
    }


def test_apev2_goes_before_id3v1_and_behind_id3v2(tmp_path: Path) -> None:
    """ID3v1 cuts at 30 letters; what one family lacks is taken from the next."""
    path = write(tmp_path / "a.mp3", tone(1))
    ape = mutagen.apev2.APEv2()
    ape.update({"Title": "Of the APE", "Artist": "An artist", "Year": "2001", "Track": "3/12"})
    ape.update({"Album Artist": ["One", "Two"], "Disc": "2"})
    cover = mutagen.apev2.APEValue(b"c.png\0" + PNG, mutagen.apev2.BINARY)
    ape["Cover Art (Front)"] = cover
    ape.save(path)
    path.write_bytes(path.read_bytes() + id3v1(title="Of v1", artist="v1", album="An alb"))
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TIT2(encoding=3, text="Of the ID3"))
    tags.save(path, v1=0)
    path.write_bytes(path.read_bytes() + id3v1(title="Of v1", artist="v1", album="An alb"))
    found = read(path)
    assert {name: values[0] for name, values in found.text.items()} == {
        "title": "Of the ID3",
        "artist": "An artist",
        "album": "An alb",
        "albumartist": "One",
        "date": "2001",
        "tracknumber": "3/12",
        "discnumber": "2",
    }
    assert found.text["albumartist"] == ("One", "Two")
    assert found.cover == Cover(PNG, "image/png")


def list_info(**fields: str) -> bytes:
    body = b"INFO"
    for name, text in fields.items():
        value = text.encode() + b"\0"
        body += name.encode() + struct.pack("<I", len(value)) + value + bytes(len(value) & 1)
    return b"LIST" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("form", [b"RIFF", b"RF64"])
def test_a_wavs_list_info_is_read(tmp_path: Path, form: bytes) -> None:
    """mutagen reads neither; FFmpeg's demuxer does."""
    path = write(tmp_path / "a.wav", tone(1))
    data = path.read_bytes()
    info = list_info(INAM="A title", IART="An artist", ICRD="1999", IGNR="Techno", IPRD="An album")
    start = data.index(b"data")
    if form == b"RF64":
        sizes = struct.pack("<QQQI", len(data) + len(info) + 28, len(data) - start - 8, 0, 0)
        info = b"ds64" + struct.pack("<I", len(sizes)) + sizes + info
    whole = data[8:12] + (
        info + data[12:] if form == b"RF64" else data[12:start] + info + data[start:]
    )
    path.write_bytes(form + struct.pack("<I", len(whole)) + whole)
    found = texts(path)
    assert {name: found[name] for name in ("title", "artist", "date", "genre", "album")} == {
        "title": "A title",
        "artist": "An artist",
        "date": "1999",
        "genre": "Techno",
        "album": "An album",
    }


def test_an_aiffs_id3_is_read(tmp_path: Path) -> None:
    """Its chunk is the same as an MP3's."""
    path = encode(tmp_path / "a.aiff", "pcm_s16be", 1.0, container="aiff")
    audio = mutagen.aiff.AIFF(path)
    audio.add_tags()
    audio.tags.add(mutagen.id3.TPE1(encoding=3, text="An artist"))
    audio.tags.add(mutagen.id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=PNG))
    audio.save()
    found = read(path)
    assert (found.text["artist"], found.cover) == (("An artist",), Cover(PNG, "image/png"))


def empty_speex(path: Path) -> None:
    """Its headers; no encoder of it is at hand."""
    numbers = struct.pack("<13i", 1, 80, 16_000, 1, 4, 1, -1, 320, 0, 1, 0, 0, 0)
    packets = [b"Speex   1.2".ljust(28, b"\0") + numbers, bytes(8)]
    pages = [mutagen.ogg.OggPage() for _ in packets]
    for number, (page, packet) in enumerate(zip(pages, packets, strict=True)):
        page.packets, page.sequence, page.serial = [packet], number, 7
    pages[0].first, pages[-1].last = True, True
    path.write_bytes(b"".join(page.write() for page in pages))


@pytest.mark.parametrize(
    ("codec", "kind"),
    [
        ("flac", mutagen.oggflac.OggFLAC),
        ("speex", mutagen.oggspeex.OggSpeex),
        ("vorbis", mutagen.oggvorbis.OggVorbis),
    ],
)
def test_every_ogg_has_vorbis_comments(tmp_path: Path, codec: str, kind: type) -> None:
    """YEAR, DISC and TRACK as well: many programs write those names. An old cover, too."""
    path = tmp_path / "a.ogg"
    if codec == "speex":
        empty_speex(path)
    else:
        encode(path, codec, 1.0, container="ogg")
    audio = kind(path)
    audio.update(
        {"ARTIST": "An artist", "YEAR": "1999", "DISC": "2", "TRACK": "3", "ALBUM ARTIST": "All"}
    )
    audio["COVERART"] = base64.b64encode(PNG).decode()
    audio.save()
    found = read(path)
    assert {name: values[0] for name, values in found.text.items()} == {
        "artist": "An artist",
        "date": "1999",
        "discnumber": "2",
        "tracknumber": "3",
        "albumartist": "All",
    }
    assert found.cover == Cover(PNG, "image/png")


def test_vorbis_comments_go_before_an_id3_that_stands_in_front(tmp_path: Path) -> None:
    """Only the ID3v2 was read; what the comments lack is taken from it."""
    path = write(tmp_path / "a.flac", tone(1))
    flac = mutagen.flac.FLAC(path)
    flac["ARTIST"] = "Of the comments"
    flac.save()
    body = path.read_bytes()
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TPE1(encoding=3, text="Of the ID3"))
    tags.add(mutagen.id3.TALB(encoding=3, text="An album"))
    tags.save(tmp_path / "tag", v1=0)
    path.write_bytes((tmp_path / "tag").read_bytes() + body)
    assert texts(path) == {"artist": "Of the comments", "album": "An album"}


def test_a_genre_number_out_of_range_is_no_genre(tmp_path: Path) -> None:
    """ "Unknown" was written into every stem."""
    path = write(tmp_path / "a.mp3", tone(1))
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TCON(encoding=3, text="196"))
    tags.add(mutagen.id3.TPE1(encoding=3, text="An artist"))
    tags.save(path)
    assert texts(path) == {"artist": "An artist"}


def test_matroskas_attached_cover_is_read(tmp_path: Path) -> None:
    """As an attachment, which FFmpeg shows as a stream of one picture."""
    path = tmp_path / "a.mka"
    with av.open(os.fspath(path), "w", format="matroska") as out:
        out.metadata.update(title="A title")
        stream = out.add_stream("libopus", rate=48_000, layout="stereo")
        out.add_attachment("cover.png", "image/png", PNG)
        frame = av.AudioFrame.from_ndarray(tone(1).reshape(1, -1), format="flt", layout="stereo")
        frame.sample_rate = 48_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    found = read(path)
    assert (found.text["title"], found.cover) == (("A title",), Cover(PNG, "image/png"))


@pytest.mark.parametrize(
    ("title", "of_track", "found"),
    [
        (None, {}, {}),
        ("A title", {}, {"title": "A title"}),
        (None, {"artist": "Somebody"}, {"title": "Track1", "artist": "Somebody"}),  # a song's tags
    ],
)
def test_the_name_of_a_matroskas_track_is_not_the_songs(
    tmp_path: Path, title: str | None, of_track: dict[str, str], found: dict[str, str]
) -> None:
    """Films have "Stereo" and "Commentary" there; stems were called so."""
    path = tmp_path / "a.mka"
    with av.open(os.fspath(path), "w", format="matroska") as out:
        out.metadata.update({"title": title} if title else {})
        stream = out.add_stream("libopus", rate=48_000, layout="stereo")
        stream.metadata.update({"title": "Track1", **of_track})
        frame = av.AudioFrame.from_ndarray(tone(1).reshape(1, -1), format="flt", layout="stereo")
        frame.sample_rate = 48_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with Source(os.fspath(path)) as source:
        assert source.stream.metadata["title"] == "Track1"
    assert texts(path) == found


def test_a_wmas_tempo_and_key_are_read(tmp_path: Path) -> None:
    """FFmpeg has names of its own for the other tags of Windows Media, and these as they are."""
    tags = {"title": "A title", "WM/BeatsPerMinute": "124", "WM/InitialKey": "Am"}
    path = tmp_path / "a.wma"
    encode(path, "wmav2", 1.0, bit_rate=128_000, container="asf", tags=tags)
    assert texts(path) == {"title": "A title", "bpm": "124", "key": "Am"}


def test_an_m4as_freeform_tempo_and_key_are_read(tmp_path: Path) -> None:
    """`tmpo` holds whole numbers, so programs write the exact one beside it."""
    path = write(tmp_path / "a.m4a", tone(1))
    audio = mutagen.mp4.MP4(path)
    audio.update({"tmpo": [125], "----:com.apple.iTunes:BPM": [b"124.57"]})
    audio["----:com.apple.iTunes:KEY"] = [b"Am"]
    audio.save()
    assert texts(path) == {"bpm": "124.57", "key": "Am"}


def test_a_broken_cover_costs_the_cover_only(tmp_path: Path) -> None:
    """The texts beside it are whole."""
    path = write(tmp_path / "a.ogg", tone(1))
    audio = mutagen.File(path)
    audio["ARTIST"] = "An artist"
    audio["METADATA_BLOCK_PICTURE"] = base64.b64encode(b"no picture").decode()
    audio.save()
    assert read(path) == SourceTags({"artist": ("An artist",)})


def test_a_family_that_breaks_leaves_the_others(tmp_path: Path) -> None:
    """The note says so."""
    path = write(tmp_path / "a.mp3", tone(1))
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TPE1(encoding=3, text="An artist" * 20))
    tags.save(path)
    ape = mutagen.apev2.APEv2()
    ape["Album"] = "An album"
    ape.save(path)
    data = bytearray(path.read_bytes())
    data[data.rfind(b"Album") - 8] = 0xFF  # the item's length
    path.write_bytes(data)
    found = read_tags(os.fspath(path))
    assert "artist" in found.text
    assert "Some of the song's tags can't be read" in (found.note or "")


def test_what_ffmpeg_made_of_broken_tags_is_taken(tmp_path: Path) -> None:
    """Comments that mutagen gives up on: one with a length that is too long."""
    path = write(tmp_path / "a.flac", tone(1))
    flac = mutagen.flac.FLAC(path)
    flac["ARTIST"] = "An artist"
    picture = mutagen.flac.Picture()
    picture.data = PNG
    flac.add_picture(picture)
    flac.save()
    data = path.read_bytes()
    at = data.index(PNG)
    path.write_bytes(data[: at - 4] + b"\x7f\xff\xff\xff" + data[at:])
    found = read_tags(os.fspath(path))
    assert found.text.get("artist") == ("An artist",)
