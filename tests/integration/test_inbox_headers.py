"""Looking at real containers, whole and cut."""

import os
import struct
import wave
from pathlib import Path

import pytest

from stemwatch.inbox.headers import Lack, look

RATE = 44100
CODECS = {
    "mp3": "libmp3lame",
    "flac": "flac",
    "m4a": "aac",
    "ogg": "libopus",
    "webm": "libopus",
    "wav": "pcm_s16le",
}


def check(path: Path) -> Lack | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        return look(fd)
    finally:
        os.close(fd)


def encode(path: Path, codec: str, options: dict[str, str] | None = None) -> Path:
    """Three seconds of noise, so that no encoder shrinks it to nothing."""
    import av
    import numpy as np

    rate = 48000 if codec == "libopus" else RATE
    noise = np.random.default_rng(7).integers(-9000, 9000, (1, 2 * 3 * rate), dtype=np.int16)
    with av.open(str(path), "w", options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="stereo", rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )  # fmt: skip
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("songs")
    made = {}
    for extension, codec in CODECS.items():
        path = encode(folder / f"a.{extension}", codec)
        assert check(path) is None, extension
        made[extension] = path.read_bytes()
    fast = encode(folder / "fast.m4a", "aac", {"movflags": "faststart"})
    fragmented = encode(folder / "frag.m4a", "aac", {"movflags": "frag_keyframe+empty_moov"})
    assert check(fast) is None
    assert check(fragmented) is None
    return made | {"fast": fast.read_bytes(), "frag": fragmented.read_bytes()}


@pytest.mark.parametrize("share", [0.02, 0.25, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["wav", "m4a", "fast", "ogg", "webm"])
def test_cut_files_lack_something(
    songs: dict[str, bytes], tmp_path: Path, kind: str, share: float
) -> None:
    """Wherever it is cut, the container says that bytes are missing."""
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(songs[kind][: int(len(songs[kind]) * share)])
    lack = check(path)
    assert lack is not None
    assert lack.sure


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_cut_mp3_is_doubted(songs: dict[str, bytes], tmp_path: Path, share: float) -> None:
    """A Xing header that promises more is a reason to wait, not to reject."""
    path = tmp_path / "cut.mp3"
    path.write_bytes(songs["mp3"][: int(len(songs["mp3"]) * share)])
    lack = check(path)
    assert lack is not None
    assert not lack.sure


@pytest.mark.parametrize("length", [0, 4, 20, 41, 60])
def test_headers_that_are_cut_off(songs: dict[str, bytes], tmp_path: Path, length: int) -> None:
    """An empty file and a header cut off anywhere lack something, in every container."""
    for kind in ("wav", "flac", "m4a", "ogg", "webm"):
        if length == 60 and kind == "flac":
            continue
        path = tmp_path / kind
        path.write_bytes(songs[kind][:length])
        # 4 bytes of an MP4 are not even its magic
        assert (check(path) is not None) or (kind == "m4a" and length == 4), kind


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF024, 0x80000023])
def test_streaming_sizes_are_legal(songs: dict[str, bytes], tmp_path: Path, size: int) -> None:
    """A recorder that could not go back leaves 0 or a huge size: nothing is missing."""
    path = tmp_path / "a.wav"
    path.write_bytes(songs["wav"][:4] + struct.pack("<I", size) + songs["wav"][8:])
    assert check(path) is None


def test_a_true_size_of_three_gigabytes_is_believed(tmp_path: Path) -> None:
    """It lies between those that streaming writers leave."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 3 << 30) + b"WAVEfmt ".ljust(5000, b"\1"))
    lack = check(path)
    assert lack is not None
    assert lack.sure


def test_a_cut_aiff_lacks_something(tmp_path: Path) -> None:
    """The same question as for a WAV, in big-endian; a pipe leaves 0 or SoX's 0x7f000050."""
    for size, whole in ((4992, True), (9000, False), (0, True), (0x7F000050, True)):
        path = tmp_path / "a.aiff"
        path.write_bytes(b"FORM" + struct.pack(">I", size) + b"AIFFCOMM".ljust(4992, b"\1"))
        assert (check(path) is None) is whole


def test_rf64_counts_in_64_bits(tmp_path: Path) -> None:
    """The true size of an RF64 file is in its ds64 chunk."""
    for extra, whole in ((0, True), (5000, False)):
        body = b"WAVEds64" + struct.pack("<IQQQI", 28, 100 + extra, 0, 0, 0)
        path = tmp_path / "a.wav"
        path.write_bytes(b"RF64\xff\xff\xff\xff" + body.ljust(100, b"\1"))
        assert (check(path) is None) is whole


def test_odd_sized_wav_without_its_padding_byte_is_whole(tmp_path: Path) -> None:
    """Many writers count the padding byte and don't write it."""
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(1)
        out.setframerate(8000)
        out.writeframes(bytes(range(1, 102)))
    data = path.read_bytes()
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8 + 1) + data[8:])
    assert check(path) is None


def test_webm_of_unknown_size_is_legal(songs: dict[str, bytes], tmp_path: Path) -> None:
    """A live recording's segment has no size."""
    at = songs["webm"].index(b"\x18\x53\x80\x67") + 4
    assert songs["webm"][at] == 0x01  # an eight-byte size
    path = tmp_path / "a.webm"
    path.write_bytes(songs["webm"][:at] + b"\x01" + b"\xff" * 7 + songs["webm"][at + 8 :][:5000])
    assert check(path) is None


def test_id3_tag_longer_than_the_file(songs: dict[str, bytes], tmp_path: Path) -> None:
    """A cover that is still being copied is seen by the tag's size; a whole tag is skipped."""
    path = tmp_path / "a.mp3"
    tag = b"ID3\x03\0\0" + bytes([0, 1, 0, 0]) + bytes(16384)
    path.write_bytes(tag[:9000])
    assert check(path) is not None
    path.write_bytes(tag)
    assert check(path) is not None
    path.write_bytes(tag + songs["mp3"])
    assert check(path) is None


def test_ogg_without_end_mark_is_doubted(songs: dict[str, bytes], tmp_path: Path) -> None:
    """Cut between two pages it may be a live recording: wait, and let the probe decide."""
    data = songs["ogg"]
    path = tmp_path / "a.ogg"
    path.write_bytes(data[: data.rindex(b"OggS")])
    lack = check(path)
    assert lack is not None
    assert not lack.sure


def test_tags_after_the_end_are_no_lack(songs: dict[str, bytes], tmp_path: Path) -> None:
    """An ID3v1 tag behind a whole file does not look like a box or a page that was cut."""
    for kind in ("m4a", "fast", "ogg", "wav", "flac", "mp3", "webm"):
        path = tmp_path / kind
        path.write_bytes(songs[kind] + b"TAG" + b"title".ljust(125, b"\0"))
        assert check(path) is None, kind


def test_the_name_does_not_matter_and_unknown_content_is_complete(
    songs: dict[str, bytes], tmp_path: Path
) -> None:
    """Magic decides: a cut M4A named .mp3 lacks bytes, text named .wav is the probe's affair."""
    path = tmp_path / "a.mp3"
    path.write_bytes(songs["m4a"][:-500])
    assert check(path) is not None
    (tmp_path / "a.wav").write_text("this is no sound at all\n" * 20)
    assert check(tmp_path / "a.wav") is None


def test_preallocated_zeros_are_doubted(tmp_path: Path) -> None:
    """A file laid out in full before its bytes arrive begins with zeros."""
    path = tmp_path / "a.flac"
    path.write_bytes(bytes(100_000))
    lack = check(path)
    assert lack is not None
    assert not lack.sure


def test_a_copy_whose_length_was_set_first_is_waited_for(tmp_path: Path) -> None:
    """Explorer through Samba: the header and the length are right, the rest is a hole."""
    path = tmp_path / "song.wav"
    with path.open("wb") as file:
        file.write(b"RIFF" + (1_000_000 - 8).to_bytes(4, "little") + b"WAVE" + b"x" * 300_000)
        file.truncate(1_000_000)
    fd = os.open(path, os.O_RDONLY)
    try:
        if os.lseek(fd, 0, os.SEEK_HOLE) == 1_000_000:
            pytest.skip("this file system knows no holes")
        lack = look(fd)
    finally:
        os.close(fd)
    assert lack is not None
    assert not lack.sure  # silence may be a hole too
