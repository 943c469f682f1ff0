"""Stem files: which are recognised, and that their stems come out as they went in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemwatch.audio.codec import Encoder
from stemwatch.audio.frames import Source
from stemwatch.audio.stem_file.making import make
from stemwatch.audio.stem_file.recognising import USUAL, probe_song, stem_tracks, stems_called
from stemwatch.audio.stem_file.unpacking import unpack
from stemwatch.errors import Reject
from tests.support import stem_files
from tests.support.encoded import decoded_as_is

NAME = "Song.stem.m4a"


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    """Of four stems, not a whole number of ALAC's frames long."""
    return stem_files.sounds(seconds=1.3)


def unpacked(song: Path, stem: str, format: str = "wav") -> np.ndarray:
    out = song.parent / f"{stem}.{format}"
    unpack(str(song), stem, str(out), format)
    return decoded_as_is(out)


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (("Drums", "Bass", "Other", "Vox"), USUAL),
        ((" VOCALS", "other", "Drum", "BASS"), ("vocals", "other", "drums", "bass")),
        (("Vox", "Synths", "Drums", "Bass"), ("vocals", "other", "drums", "bass")),
        (("Vox", "Synths", "Strings", "Bass"), USUAL),
        (("Drums", "Drums", "Other", "Vox"), USUAL),
        (("", "", "", ""), USUAL),
    ],
)
def test_names_tell_the_stems_or_the_usual_order_does(
    names: tuple[str, ...], stems: tuple[str, ...]
) -> None:
    assert tuple(stems_called(names)) == stems


@pytest.mark.parametrize("name", [NAME, "Song.stem.mp4", "SONG.STEM.M4A"])
def test_a_stem_file_is_recognised(tmp_path: Path, sounds: list[np.ndarray], name: str) -> None:
    """Length and codec are the mix's."""
    song = stem_files.write(tmp_path / name, sounds)
    found = probe_song(str(song))
    assert (found.stem_file, found.codec, found.duration) == (True, "alac", 1.3)
    assert stem_tracks(str(song)) == {stem: n for n, stem in enumerate(USUAL, 1)}


def padded_with_nul(told: bytes) -> bytes:
    return told + b"\0\0\0"


def test_an_atom_behind_tags_and_with_nul_at_its_end_is_read(
    tmp_path: Path, sounds: list[np.ndarray]
) -> None:
    told = padded_with_nul(stem_files.manifest(("Vox", "Bass", "Drums", "Other"), version=2))
    song = stem_files.write(tmp_path / NAME, sounds, told=told, tags={"\xa9nam": ["Song"]})
    assert list(stem_tracks(str(song)) or ()) == ["vocals", "bass", "drums", "other"]


NO_STEM_FILES: dict[str, dict[str, Any]] = {
    "another name": {"name": "Song.m4a"},
    "nothing but the ending": {"name": ".stem.m4a"},
    "no atom": {"told": None},
    "no JSON": {"told": b"\xff\xfe{"},
    "JSON of something else": {"told": b"[1, 2]"},
    "JSON without an end": {"told": b"[" * 100_000},
    "version 0": {"told": stem_files.manifest(version=0)},
    "a version that is no number": {"told": stem_files.manifest(version="1")},
    "three names": {"told": stem_files.manifest(("Drums", "Bass", "Vox"))},
    "three stems": {"count": 3},
    "five stems": {"count": 5},
    "a mono stem": {"mono": 2},
    "two codecs": {"codecs": ("alac", "alac", "aac", "alac", "alac")},
}


@pytest.mark.parametrize("kind", NO_STEM_FILES)
def test_what_is_none_is_a_song_like_any_other(tmp_path: Path, kind: str) -> None:
    given = {"name": NAME, "count": 4, **NO_STEM_FILES[kind]}
    name, count, mono = given.pop("name"), given.pop("count"), given.pop("mono", None)
    sounds = stem_files.sounds(count, 0.2)
    if mono is not None:
        sounds[mono] = sounds[mono][:, :1].copy()
    given.setdefault("codecs", ("alac",) * (1 + count))
    song = stem_files.write(tmp_path / name, sounds, **given)
    assert stem_tracks(str(song)) is None
    assert probe_song(str(song)).stem_file is False


@pytest.mark.parametrize("format", ["wav", "flac"])
@pytest.mark.parametrize("depth", [16, 24])
def test_alac_comes_out_bit_for_bit(tmp_path: Path, format: str, depth: int) -> None:
    sounds = stem_files.sounds(seconds=0.7)
    if depth == 24:
        sounds = [(one.astype(np.int32) << 16) + (77 << 8) for one in sounds]
    song = stem_files.write(tmp_path / NAME, sounds)
    for stem, sound in zip(USUAL, sounds, strict=True):
        found = unpacked(song, stem, format)
        assert found.dtype == sound.dtype
        assert np.array_equal(found, sound)


def test_what_stemwatch_makes_it_takes_back(tmp_path: Path, sounds: list[np.ndarray]) -> None:
    """The stems of `separation.stem_file: alac`, bit for bit."""
    paths = {stem: tmp_path / f"{stem}.source.wav" for stem in USUAL}
    for path, sound in zip(paths.values(), sounds, strict=True):
        with Encoder(str(path), "wav") as encoder:
            encoder.write_native(sound)
    song = tmp_path / NAME
    make({stem: str(path) for stem, path in paths.items()}, str(song), "alac")
    assert probe_song(str(song)).stem_file
    found = [unpacked(song, stem) for stem in USUAL]
    assert [np.array_equal(*pair) for pair in zip(found, sounds, strict=True)] == [True] * 4


def test_aac_keeps_its_length_and_its_place(tmp_path: Path, sounds: list[np.ndarray]) -> None:
    """Without the encoder's delay and padding, in 24 bits: every stem lies on the song."""
    song = stem_files.write(tmp_path / NAME, sounds, codecs=("aac",) * 5)
    found = unpacked(song, "bass")
    assert found.dtype == np.int32
    assert found.shape == sounds[1].shape
    heard, sent = found[:, 0] / 2.0**31, sounds[1][:, 0] / 2.0**15
    assert np.corrcoef(heard, sent)[0, 1] > 0.9


def test_an_mp3_of_a_high_rate_is_resampled(tmp_path: Path) -> None:
    song = stem_files.write(
        tmp_path / NAME, stem_files.sounds(seconds=0.5, rate=96_000), rate=96_000
    )
    out = tmp_path / "vocals.mp3"
    unpack(str(song), "vocals", str(out), "mp3")
    with Source(str(out)) as made:
        assert made.sample_rate == 48_000
    assert len(decoded_as_is(out)) == 24_000
    assert len(unpacked(song, "vocals")) == 48_000


def packets_of(song: Path, track: int) -> list[tuple[int, int]]:
    """Where the packets of a track lie, and their sizes."""
    with Source(str(song), track=track) as source:
        return [(entry.pos, entry.size) for entry in source.stream.index_entries]


def test_a_packet_that_does_not_decode_is_silent_and_moves_nothing(tmp_path: Path) -> None:
    """One in a hundred and more is damage that is heard: the song is refused."""
    sounds = stem_files.sounds(seconds=6.0)
    song = stem_files.write(tmp_path / NAME, sounds)
    data = bytearray(song.read_bytes())
    places = packets_of(song, 4)
    at, size = places[20]
    data[at : at + size] = b"\xff" * size
    song.write_bytes(data)
    found = unpacked(song, "vocals")
    assert len(found) == len(sounds[3])
    same = (found == sounds[3]).all(axis=1)
    assert 0 < np.count_nonzero(~same) <= 4_096
    for at, size in places[5:12]:
        data[at : at + size] = b"\xff" * size
    song.write_bytes(data)
    with pytest.raises(Reject, match=r"The vocals track of .* is damaged") as refused:
        unpacked(song, "vocals")
    assert refused.value.code == "corrupt"


def test_a_track_that_ends_early_is_named(tmp_path: Path) -> None:
    sounds = stem_files.sounds(seconds=6.0)
    sounds[1] = sounds[1][: 4 * stem_files.RATE]
    song = stem_files.write(tmp_path / NAME, sounds)
    with pytest.raises(Reject, match=r"its bass track ends at 4\.\d s of 6\.0 s") as refused:
        probe_song(str(song))
    assert refused.value.code == "truncated"


def test_damage_in_one_track_is_found_before_anything_is_made(tmp_path: Path) -> None:
    song = stem_files.write(tmp_path / NAME, stem_files.sounds(seconds=3.0))
    data = bytearray(song.read_bytes())
    for at, size in packets_of(song, 3)[2:-2]:
        data[at : at + size] = bytes(size)
    song.write_bytes(data)
    with pytest.raises(Reject, match=r"^its other track: .* is"):
        probe_song(str(song))


@pytest.mark.parametrize("codec", ["alac", "aac"])
def test_time_stamps_that_ask_for_hours_of_silence_fill_no_disk(tmp_path: Path, codec: str) -> None:
    """Such a song is refused at the door; one that an earlier version let in, before it is made."""
    song = stem_files.write(tmp_path / NAME, stem_files.sounds(seconds=3.0), codecs=(codec,) * 5)
    stem_files.stretch(song, 10 * 4_096)
    with pytest.raises(Reject, match="is incomplete") as refused:
        probe_song(str(song))
    assert refused.value.code == "truncated"
    out = tmp_path / "bass.wav"
    with pytest.raises(Reject, match=r"claims to last \d+ s, and has sound for 3 s") as refused:
        unpack(str(song), "bass", str(out), "wav")
    assert refused.value.code == "corrupt"
    assert out.stat().st_size < 2 * (3 + 1) * 44_100 * 6
