"""Whole files as real collections hold them: none is refused, each has its true length."""

from __future__ import annotations

import os
from pathlib import Path

import mutagen.id3
import numpy as np
import pytest

from stemwatch.audio.probe import probe
from stemwatch.errors import Reject
from tests.support import odd_files
from tests.support.audio_samples import cut, overwrite, tone, write
from tests.support.odd_files import encode, join


def length(path: Path) -> float:
    found = probe(os.fspath(path))
    assert found.bad_packets == 0
    return found.duration


def refusal(path: Path) -> Reject:
    with pytest.raises(Reject) as raised:
        probe(os.fspath(path))
    return raised.value


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("vorbis", 48_000, 2), ("vorbis", 44_100, 2)),
        (("libopus", 48_000, 1), ("libopus", 48_000, 2)),
        (("flac", 44_100, 2), ("flac", 48_000, 2)),
        (("vorbis", 48_000, 2), ("libopus", 48_000, 2)),
    ],
)
def test_a_chain_that_decoders_leave_midway_is_named(
    tmp_path: Path, first: tuple[str, int, int], second: tuple[str, int, int]
) -> None:
    """What follows the first recording was lost without a word; the API may lose it as well."""
    parts = [
        encode(tmp_path / f"{n}.ogg", codec, 2.0, rate=rate, channels=channels, container="ogg")
        for n, (codec, rate, channels) in enumerate((first, second))
    ]
    fault = refusal(join(tmp_path / "chain.ogg", *parts))
    assert fault.code == "chained"
    assert "chain of 2 recordings" in fault.message
    assert f"at {first[1]} Hz, then" in fault.message


@pytest.mark.parametrize("codec", ["vorbis", "libopus", "flac"])
def test_a_chain_of_alike_recordings_is_as_long_as_all_of_them(tmp_path: Path, codec: str) -> None:
    """Decoders play it through."""
    part = encode(tmp_path / "a.ogg", codec, 2.0, rate=48_000, container="ogg")
    assert length(join(tmp_path / "chain.ogg", part, part)) == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize("sizes", [(0x7FFFF024, 0x7FFFF000), (0x80000023, 0x7FFFFFFF), (0, 0)])
def test_a_wav_from_a_pipe_is_whole(tmp_path: Path, sizes: tuple[int, int]) -> None:
    """As SoX, LAME and FFmpeg write one that they can't go back in."""
    path = write(tmp_path / "a.wav")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[4:8], data[at : at + 4] = (size.to_bytes(4, "little") for size in sizes)
    path.write_bytes(data)
    assert length(path) == pytest.approx(3.0)


def test_an_aiff_from_a_pipe_is_as_long_as_it_plays(tmp_path: Path) -> None:
    """SoX claims some three hours."""
    path = encode(tmp_path / "a.aiff", "pcm_s16be", container="aiff")
    data = bytearray(path.read_bytes())
    comm, ssnd = data.index(b"COMM"), data.index(b"SSND")
    data[comm + 10 : comm + 14] = (0x1FC0_0000).to_bytes(4)
    data[ssnd + 4 : ssnd + 8] = (0x7F00_0008).to_bytes(4)
    path.write_bytes(data)
    assert length(path) == pytest.approx(3.0, abs=0.1)


def test_an_aiff_that_lost_a_part_is_truncated(tmp_path: Path) -> None:
    """Its header's count of samples is no proof that they are there."""
    path = cut(encode(tmp_path / "a.aiff", "pcm_s16be", container="aiff"), 0.6)
    assert refusal(path).code == "truncated"


def test_a_large_tag_behind_the_sound_is_no_sound(tmp_path: Path) -> None:
    """A cover in an APEv2 tag: FFmpeg then guesses the length from size and bit rate."""
    path = odd_files.vbr_mp3(tmp_path / "a.mp3")
    odd_files.add_ape_cover(path, path.stat().st_size)
    assert length(path) == pytest.approx(10.0, abs=0.05)


@pytest.mark.parametrize("tagged", [False, True])
def test_two_joined_mp3s_are_as_long_as_both(tmp_path: Path, tagged: bool) -> None:
    """The first one's header tells of the first one only."""
    parts = [
        encode(tmp_path / f"{rate}.mp3", "libmp3lame", 3.0, bit_rate=rate * 1000)
        for rate in (64, 192)
    ]
    if tagged:
        for part in parts:
            tags = mutagen.id3.ID3()
            tags.add(mutagen.id3.TIT2(encoding=3, text="x" * 9_000))
            tags.save(part, v1=2)
            odd_files.add_ape_cover(part, 9_000)
    assert length(join(tmp_path / "joined.mp3", *parts)) == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize(
    "junk",
    [bytes(9_000), b"<html>expired</html>" * 450, b"\xff" * 9_000],
    ids=["zeros", "text", "ones"],
)
@pytest.mark.parametrize("before", [True, False])
def test_what_lies_around_the_sound_is_no_loss(tmp_path: Path, junk: bytes, before: bool) -> None:
    """Every frame that the header counts is there and decodes."""
    path = encode(tmp_path / "a.mp3", "libmp3lame", 4.0, bit_rate=64_000)
    data = path.read_bytes()
    path.write_bytes(junk + data if before else data + junk)
    assert length(path) == pytest.approx(4.0, abs=0.05)


def test_a_tail_of_zeros_that_replaces_sound_is_a_loss(tmp_path: Path) -> None:
    """An unfilled download has the right size; the frames that the header counts are not there."""
    path = encode(tmp_path / "a.mp3", "libmp3lame", 8.0, bit_rate=64_000)
    overwrite(path, 0.8, 0.2, random=False)
    assert refusal(path).code in ("corrupt", "truncated")
    bare = encode(
        tmp_path / "b.mp3", "libmp3lame", 8.0, bit_rate=64_000, options={"write_xing": "0"}
    )
    overwrite(bare, 0.8, 0.2, random=False)
    assert refusal(bare).code == "corrupt"


def test_the_word_info_in_a_tag_is_no_header(tmp_path: Path) -> None:
    """A VBR file without one, whose album begins with that word."""
    path = odd_files.vbr_mp3(tmp_path / "a.mp3", xing=False)
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TALB(encoding=0, text="Info Music"))
    tags.save(path, padding=lambda _: 0)
    assert length(path) == pytest.approx(10.0, abs=0.2)


def test_padding_that_is_longer_than_the_sound_is_no_length(tmp_path: Path) -> None:
    """A clip of 20 ms: "176 % of it is missing"."""
    path = encode(tmp_path / "a.mp3", "libmp3lame", samples=tone(0.02))
    data = bytearray(path.read_bytes())
    at = data.index(b"Info") + 8 + 4 + 4 + 100 + 4 + 21
    data[at : at + 3] = (1_105 << 12 | 0xFFF).to_bytes(3)
    path.write_bytes(data)
    assert 0.0 < length(path) < 0.2


def test_a_film_may_outlast_its_sound(tmp_path: Path) -> None:
    """Matroska has one length for all; the sound's is that of its own packets."""
    path = odd_files.film_outlasts_sound(tmp_path / "a.webm", 4.0, 5.0)
    assert length(path) == pytest.approx(4.0, abs=0.05)
    assert refusal(cut(path, 0.6)).code == "truncated"


def test_an_ogg_cut_out_of_a_longer_one_is_whole(tmp_path: Path) -> None:
    """Its granules begin where it was cut out."""
    whole = encode(tmp_path / "whole.ogg", "libopus", 6.0, rate=48_000, container="ogg")
    path = odd_files.late_granules(tmp_path / "a.ogg", whole, 3.0)
    assert length(path) == pytest.approx(3.0, abs=0.05)
    assert refusal(cut(path, 0.5)).code == "truncated"


@pytest.mark.parametrize("codec", ["vorbis", "libopus"])
def test_an_ogg_without_its_end_mark_is_whole(tmp_path: Path, codec: str) -> None:
    """Recorders of streams never write one; intake waits longer for such a file."""
    path = encode(tmp_path / "a.ogg", codec, rate=48_000, container="ogg")
    odd_files.without_end_mark(path)
    assert length(path) == pytest.approx(3.0, abs=0.05)
    path.write_bytes(path.read_bytes()[:-1])
    fault = refusal(path)
    assert (fault.code, "page is cut off" in fault.message) == ("truncated", True)


def test_noise_behind_a_few_frames_is_still_no_audio(tmp_path: Path) -> None:
    """Frames found by chance prove nothing."""
    path = tmp_path / "a.mp3"
    head = encode(path, "libmp3lame", 0.2, options={"write_xing": "0"}).read_bytes()
    path.write_bytes(head + np.random.default_rng(1).bytes(300_000))
    assert refusal(path).code == "not_audio"


def test_a_cut_mp3_is_truncated_even_in_the_frame_behind_its_header(tmp_path: Path) -> None:
    """Nothing but the frame that tells the length and half a frame: all of it is missing."""
    path = encode(tmp_path / "a.mp3", "libmp3lame", 20.0, bit_rate=64_000)
    data = path.read_bytes()
    for there, code in ((2_000, "truncated"), (200, "not_audio")):
        path.write_bytes(data[:there])
        assert refusal(path).code == code


def test_zeros_behind_a_tag_are_its_padding(tmp_path: Path) -> None:
    """Of a radio's recording that has no header and ends in the midst of a frame."""
    path = encode(
        tmp_path / "a.mp3", "libmp3lame", 2.0, bit_rate=64_000, options={"write_xing": "0"}
    )
    sound = path.read_bytes()
    sound = sound[sound.index(b"\xff\xfb") :]
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TIT2(encoding=3, text="A title"))
    tags.save(tmp_path / "tag", v1=0, padding=lambda _: 0)
    path.write_bytes((tmp_path / "tag").read_bytes() + bytes(2_000) + sound[:-100])
    assert length(path) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("kind", ["APEv2", "Lyrics3"])
def test_a_tag_of_a_wrong_length_does_not_swallow_the_sound(tmp_path: Path, kind: str) -> None:
    """It is believed only where it begins as it says."""
    path = encode(tmp_path / "a.mp3", "libmp3lame", 4.0, bit_rate=64_000)
    wrong = path.stat().st_size // 2
    if kind == "APEv2":
        footer = b"APETAGEX" + b"".join(n.to_bytes(4, "little") for n in (2_000, wrong, 1))
        tag = footer + (1 << 31).to_bytes(4, "little") + bytes(8)
    else:
        tag = b"LYRICSBEGIN" + f"{wrong:06}LYRICS200".encode()
    path.write_bytes(path.read_bytes() + tag)
    assert length(path) == pytest.approx(4.0, abs=0.01)


def test_a_length_is_to_the_sample_where_all_frames_are_there(tmp_path: Path) -> None:
    """At a low rate the padding is more than the two hundredths that a header may be wrong by."""
    samples = tone(2.0, channels=1, rate=8_000)
    path = encode(
        tmp_path / "a.mp3", "libmp3lame", rate=8_000, channels=1, bit_rate=8_000, samples=samples
    )
    assert length(path) == pytest.approx(2.0, abs=0.001)


@pytest.mark.parametrize(
    ("tag", "whose"),
    [(b"drms", "Apple's FairPlay"), (b"aavd", "Audible"), (b"enca", "Common Encryption")],
)
def test_what_protects_a_file_is_named(tmp_path: Path, tag: bytes, whose: str) -> None:
    """Its sound is scrambled: "no audio file" was said of it."""
    path = write(tmp_path / "a.m4a")
    data = bytearray(path.read_bytes())
    at = data.index(b"mp4a", data.index(b"stsd"))
    sound = data.index(b"mdat") + 4
    data[at : at + 4] = tag
    data[sound + 64 : sound + 8_000] = np.random.default_rng(2).bytes(8_000 - 64)
    path.write_bytes(data)
    fault = refusal(path)
    assert (fault.code, whose in fault.message) == ("protected", True)
