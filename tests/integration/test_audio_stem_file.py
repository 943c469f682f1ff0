"""Stem files: what is in them to the sample, and what other programs' readers find."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import mutagen.mp4
import numpy as np
import pytest
import taglib

from stemwatch.audio.arrays import native
from stemwatch.audio.codec import Encoder
from stemwatch.audio.frames import Source
from stemwatch.audio.results import StemTag
from stemwatch.audio.stem_file import atom
from stemwatch.audio.stem_file.making import make
from stemwatch.audio.stemtags import write_tags
from stemwatch.audio.tagging.song_tags import Cover, SourceTags
from stemwatch.audio.tags import read_tags
from stemwatch.job import STEMS
from tests.support.audio_samples import decoded, tone, write
from tests.support.broken import ROOT
from tests.support.mp4_boxes import boxes, stem_json, track_boxes

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
TAGS = SourceTags(
    {
        "title": ("Söng",),
        "artist": ("Somebody", "Else"),
        "album": ("Album",),
        "tracknumber": ("3/12",),
        "discnumber": ("x",),
        "bpm": ("124,57",),
        "key": ("8A",),
        "isrc": ("DEXX",),
        "comment": ("said",),
        "compilation": ("1",),
    },
    Cover(PNG, "image/png"),
)


def stems_of(
    folder: Path,
    count: int = 4,
    *,
    format: str = "wav",
    seconds: float = 0.5,
    rate: int = 44_100,
    depth: int = 16,
    channels: int = 2,
) -> dict[str, str]:
    """`count` stems that sum to less than full scale: id -> path."""
    paths = {}
    for seed, stem in enumerate(STEMS[count]):
        paths[stem] = os.fspath(folder / f"{stem}.{format}")
        samples = tone(seconds, rate=rate, channels=channels, seed=seed) * 0.3
        kind = {"rate": rate, "channels": channels, "depth": depth}
        with Encoder(paths[stem], format, **kind) as encoder:
            encoder.write(samples)
    return paths


def made(folder: Path, stems: dict[str, str], codec: str = "alac") -> Path:
    path = folder / "song.stem.m4a"
    make(stems, os.fspath(path), codec)
    return path


def stored(path: str) -> np.ndarray:
    """Samples as they are stored, in double."""
    with Source(path) as source:
        return np.concatenate(list(native(source.frames()))).astype(np.float64)


def tracks(path: Path) -> list[np.ndarray]:
    """Each track's samples as they are stored, in the order of the file."""
    found = []
    for number in range(5):
        with av.open(os.fspath(path)) as file:
            frames = file.decode(file.streams.audio[number])
            found.append(np.concatenate(list(native(frames))).astype(np.float64))
    return found


@pytest.mark.parametrize(("codec", "name"), [("alac", b"alac"), ("aac", b"mp4a")])
def test_it_has_native_instruments_layout(tmp_path: Path, codec: str, name: bytes) -> None:
    """Five stereo tracks, of which the mix alone is enabled, and bare JSON in moov/udta/stem."""
    path = made(tmp_path, stems_of(tmp_path), codec)
    kinds = list(boxes(path.read_bytes()))
    assert kinds[0][0] == b"ftyp"
    assert kinds[0][1][:4] == b"M4A "
    found = track_boxes(path)
    assert [track.flags for track in found] == [3, 2, 2, 2, 2]
    expected = (b"soun", 1, name, 2, 44_100)
    assert {(t.kind, t.group, t.codec, t.channels, t.rate) for t in found} == {expected}
    assert len({track.samples for track in found}) == 1
    told = stem_json(path)
    assert told["version"] == 1
    assert [stem["name"] for stem in told["stems"]] == ["Drums", "Bass", "Other", "Vox"]
    assert all(stem["color"].startswith("#") for stem in told["stems"])
    assert set(told["mastering_dsp"]) == {"compressor", "limiter"}


@pytest.mark.parametrize(
    ("count", "format", "depth", "rate"),
    [
        (4, "wav", 16, 44_100),
        (6, "wav", 24, 48_000),
        (6, "flac", 16, 48_000),
        (4, "flac", 24, 44_100),
    ],
)
def test_alac_holds_the_very_samples(
    tmp_path: Path, count: int, format: str, depth: int, rate: int
) -> None:
    """Of 16 and 24 bits; of six stems guitar and piano are in Other. The four sum to the mix."""
    stems = stems_of(tmp_path, count, format=format, seconds=1.6, depth=depth, rate=rate)
    mix, drums, bass, other, vox = tracks(made(tmp_path, stems))
    own = {stem: stored(path) for stem, path in stems.items()}
    rest = sum(own[stem] for stem in ("other", "guitar", "piano") if stem in own)
    for found, wanted in ((drums, own["drums"]), (bass, own["bass"]), (other, rest)):
        assert np.array_equal(found, wanted)
    assert np.array_equal(vox, own["vocals"])
    assert np.array_equal(mix, drums + bass + other + vox)


@pytest.mark.parametrize("codec", ["alac", "aac"])
def test_more_than_48_khz_is_brought_to_48(tmp_path: Path, codec: str) -> None:
    """All tracks alike, at their level."""
    path = made(tmp_path, stems_of(tmp_path, rate=96_000, depth=24), codec)
    assert {track.rate for track in track_boxes(path)} == {48_000}
    drums = tracks(path)[1][:24_000]  # libav decodes AAC's last frame whole
    assert len(tracks(path)[0]) == (24_576 if codec == "aac" else 24_000)
    full = 1.0 if codec == "aac" else 2.0**31
    expected = decoded(tmp_path / "drums.wav", rate=48_000)
    assert np.std(drums / full - expected) < (0.005 if codec == "aac" else 1e-7)


def test_mono_stems_become_stereo(tmp_path: Path) -> None:
    """Players take nothing else."""
    stems = stems_of(tmp_path, channels=1)
    vox = tracks(made(tmp_path, stems))[4]
    assert np.array_equal(vox, np.repeat(stored(stems["vocals"]), 2, axis=1))


def test_mp3_stems_are_as_they_decode(tmp_path: Path) -> None:
    """Without the silence that the encoder added, to the bit that 16 bits hold."""
    stems = stems_of(tmp_path, format="mp3")
    mix, *four = tracks(made(tmp_path, stems))
    for stem, found in zip(("drums", "bass", "other", "vocals"), four, strict=True):
        heard = decoded(stems[stem])
        assert len(found) == len(heard) == round(0.5 * 44_100)
        assert np.abs(found / 32_768 - heard).max() <= 0.5 / 32_768
    assert np.array_equal(mix, sum(four))


def test_aac_tracks_are_equally_long_and_near(tmp_path: Path) -> None:
    """No track begins later than another, whatever the encoder puts in front."""
    stems, length = stems_of(tmp_path), round(0.5 * 44_100)
    path = made(tmp_path, stems, "aac")
    assert {track.samples for track in track_boxes(path)} == {length + 1024}  # of coming in
    mix, *four = (track[:length] for track in tracks(path))  # libav decodes the last frame whole
    assert np.std(four[3] - decoded(stems["vocals"])) < 0.005
    assert np.std(mix - sum(decoded(path) for path in stems.values())) < 0.02


def test_a_rate_that_aac_lacks_is_brought_to_one_that_it_has(tmp_path: Path) -> None:
    path = made(tmp_path, stems_of(tmp_path, rate=37_800), "aac")
    assert {track.rate for track in track_boxes(path)} == {48_000}


def test_the_longest_stem_decides_the_length(tmp_path: Path) -> None:
    """Shorter ones end in silence; a mix beyond full scale is clipped, its tracks are not."""
    stems = {stem: os.fspath(tmp_path / f"{stem}.wav") for stem in STEMS[4]}
    for number, path in enumerate(stems.values()):
        write(Path(path), np.full((40_000 + 30_000 * number, 2), 0.4, np.float32))
    mix, drums, *_ = tracks(made(tmp_path, stems))
    assert len(mix) == len(drums) == 130_000
    assert np.array_equal(drums[70_000:], np.zeros((60_000, 2)))
    level = round(0.4 * 32_768)
    assert [mix[0, 0], mix[-1, 1], drums[0, 0]] == [32_767, level, level]


def tagged(folder: Path) -> Path:
    path = made(folder, stems_of(folder))
    own = StemTag("file's name", song=True)
    assert write_tags(os.fspath(path), "m4a", TAGS, own, bpm=123.0, key="C#m") is None
    return path


def test_tags_are_the_songs_own(tmp_path: Path) -> None:
    """Title, album and number are not those of a stem; tempo and key are as in stems."""
    text = {name: values for name, values in TAGS.text.items() if name != "discnumber"}
    text |= {"bpm": ("124.57",), "key": ("Am",)}
    tags = read_tags(os.fspath(tagged(tmp_path)))
    assert (tags.text, tags.cover, tags.note) == (text, TAGS.cover, None)


def test_a_song_without_tags_gets_its_name_tempo_and_key(tmp_path: Path) -> None:
    """And what was there is removed first, where that is asked."""
    path = tagged(tmp_path)
    own = StemTag("name", song=True)
    told = write_tags(
        os.fspath(path), "m4a", SourceTags(), own, bpm=99.5, key="C", whole=True, afresh=True
    )
    assert told is None
    found = {"title": ("name",), "bpm": ("100",), "key": ("C",)}
    assert read_tags(os.fspath(path)).text == found
    assert stem_json(path)["version"] == 1


def test_other_programs_read_it(tmp_path: Path) -> None:
    """mutagen, TagLib and ffprobe find tags and tracks; the first two keep the list of stems."""
    path = tagged(tmp_path)
    before = tracks(path)
    file = mutagen.mp4.MP4(path)
    assert file.tags is not None
    assert file.tags["tmpo"] == [125]
    free = {name: file.tags[f"----:com.apple.iTunes:{name}"] for name in ("BPM", "KEY")}
    assert free == {"BPM": [b"124.57"], "KEY": [b"Am"]}
    assert bytes(file.tags["covr"][0]) == PNG
    file.tags["©nam"] = ["another " * 400]
    file.save()
    with taglib.File(path, save_on_exit=True) as song:
        assert song.tags["ARTIST"] == ["Somebody", "Else"]
        assert song.tags["TRACKNUMBER"] == ["3/12"]
        assert (song.length, song.sampleRate) == (pytest.approx(0.5), 44_100)
        song.tags["TITLE"] = ["third"]
    assert len(stem_json(path)["stems"]) == 4
    assert [track.flags for track in track_boxes(path)] == [3, 2, 2, 2, 2]
    assert all(map(np.array_equal, tracks(path), before))


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_reads_it(tmp_path: Path) -> None:
    """FFmpeg of another version than the one that wrote it."""
    ask = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_format"]
    told = json.loads(subprocess.check_output([*ask, os.fspath(tagged(tmp_path))]))
    sound = [one for one in told["streams"] if one["codec_type"] == "audio"]
    shapes = {(s["codec_name"], s["channels"], s["sample_rate"], s["duration"]) for s in sound}
    assert shapes == {("alac", 2, "44100", "0.500000")}
    assert [one["disposition"]["default"] for one in sound] == [1, 0, 0, 0, 0]
    assert told["format"]["tags"]["title"] == "Söng"
    assert told["format"]["tags"]["BPM"] == "124.57"


def test_an_index_in_front_is_left_alone(tmp_path: Path) -> None:
    """It says where the samples lie, which an atom before them would move."""
    path = write(tmp_path / "a.m4a", tone(1))
    data = path.read_bytes()
    whole = dict(boxes(data))
    parts = [(kind, whole[kind]) for kind in (b"ftyp", b"moov", b"mdat")]
    front = b"".join((len(body) + 8).to_bytes(4, "big") + kind + body for kind, body in parts)
    path.write_bytes(front)
    with pytest.raises(ValueError, match="last box"):
        atom.insert(os.fspath(path), b"{}")
    assert path.read_bytes() == front


_GROWTH = """
import sys
from stemwatch.audio.stem_file.making import make
from tests.benchmarks.looking import peak
short, long, out = sys.argv[1:]
stems = lambda path: dict.fromkeys(("vocals", "drums", "bass", "other"), path)
make(stems(short), out, "alac")
before = peak()
make(stems(long), out, "alac")
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """Six times the length, 32 MB of samples more, takes no more than numbers of each packet."""
    short, long = os.fspath(tmp_path / "short.wav"), os.fspath(tmp_path / "long.wav")
    for path, times in ((short, 4), (long, 24)):
        with Encoder(path, "wav", rate=8_000, channels=1) as encoder:
            for _ in range(times):
                encoder.write(tone(10, rate=8_000, channels=1))
    asked = [sys.executable, "-c", _GROWTH, short, long, os.fspath(tmp_path / "out.m4a")]
    assert float(subprocess.check_output(asked, cwd=ROOT)) < 4.0  # MB
