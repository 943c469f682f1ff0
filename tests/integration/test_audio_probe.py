"""Verdicts on whole and damaged files."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import av
import mutagen.id3
import numpy as np
import pytest

from stemwatch.audio.probe import probe
from stemwatch.audio.verify import verify
from stemwatch.errors import Reject
from tests.support.audio_samples import FORMATS, cut, overwrite, tone, write

CODECS = {
    "wav": "pcm_s16le",
    "flac": "flac",
    "mp3": "mp3",
    "m4a": "aac",
    "ogg": "opus",
    "webm": "opus",
}


def verdict(path: Path) -> str:
    """The code that the file is refused with, or "ok"."""
    try:
        probe(os.fspath(path))
    except Reject as fault:
        return fault.code
    return "ok"


@pytest.mark.parametrize("format", FORMATS)
def test_a_whole_file_is_recognised(tmp_path: Path, format: str) -> None:
    """Codec by content, the true duration, no bad packets."""
    found = probe(os.fspath(write(tmp_path / f"a.{format}")))
    assert (found.codec, found.channels, found.bad_packets) == (CODECS[format], 2, 0)
    assert found.duration == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_in_half_is_refused(tmp_path: Path, format: str) -> None:
    """Half an upload must never be paid for, though most formats decode it without an error."""
    path = cut(write(tmp_path / f"a.{format}", tone(8)), 0.5)
    expected = "not_audio" if format == "m4a" else "truncated"  # its index was at the end
    assert verdict(path) == expected


@pytest.mark.parametrize(
    ("format", "start"),
    [
        ("m4a", 0.4),
        *(
            (format, start)
            for format in ("flac", "mp3", "ogg", "webm")
            for start in (0.1, 0.4, 0.79)
        ),
    ],
)
def test_a_hole_of_a_fifth_is_refused(tmp_path: Path, format: str, start: float) -> None:
    """A download that was set aside in full and never filled has the right size and duration."""
    path = overwrite(write(tmp_path / f"a.{format}", tone(12)), start, 0.2, random=False)
    assert verdict(path) in ("corrupt", "truncated")


@pytest.mark.parametrize(("format", "behind"), [("m4a", b"moov"), ("webm", b"\x1c\x53\xbb\x6b")])
def test_an_end_of_garbage_is_refused(tmp_path: Path, format: str, behind: bytes) -> None:
    """The container counts it in, and the packets that are decoded all along may not meet it."""
    path = write(tmp_path / f"a.{format}", tone(20))
    data = bytearray(path.read_bytes())
    end = data.rindex(behind) - 4
    start = end - len(data) * 3 // 100
    data[start:end] = np.random.default_rng(4).bytes(end - start)
    path.write_bytes(data)
    assert verdict(path) in ("corrupt", "truncated")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("zero.mp3", b""),
        ("text.mp3", b"this is a note, not a song\n"),
        ("long.mp3", b"this is a note, not a song\n" * 8000),
        ("nul.flac", bytes(4096)),
        ("random.mp3", np.random.default_rng(1).bytes(300_000)),
        ("random.wav", np.random.default_rng(2).bytes(300_000)),
        ("random.flac", np.random.default_rng(3).bytes(300_000)),
        ("random.m4a", np.random.default_rng(4).bytes(300_000)),
        ("random.ogg", np.random.default_rng(5).bytes(300_000)),
        ("random.webm", np.random.default_rng(6).bytes(300_000)),
        ("code.wav", b"import wave\n" * 400),
    ],
)
def test_what_is_no_audio_is_called_so(tmp_path: Path, name: str, content: bytes) -> None:
    """Nothing, text and noise are refused whatever their name."""
    (tmp_path / name).write_bytes(content)
    assert verdict(tmp_path / name) == "not_audio"


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_a_header_without_samples_is_no_audio(tmp_path: Path, format: str) -> None:
    """It opens, and nothing decodes."""
    assert verdict(write(tmp_path / f"a.{format}", np.zeros((0, 2), np.float32))) == "not_audio"


def test_a_film_without_sound_has_no_audio_stream(tmp_path: Path) -> None:
    """A picture-only WEBM says what is missing."""
    path = tmp_path / "film.webm"
    with av.open(os.fspath(path), "w", format="webm") as file:
        stream = file.add_stream("libvpx", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        file.mux(stream.encode(None))
    with pytest.raises(Reject, match=r"film\.webm") as raised:
        probe(os.fspath(path))
    assert raised.value.code == "no_audio_stream"
    assert raised.value.hint


def test_the_extension_is_never_trusted(tmp_path: Path) -> None:
    """An M4A named .mp3 is a fine M4A."""
    path = write(tmp_path / "a.mp3", format="m4a")
    assert probe(os.fspath(path)).codec == "aac"


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    """An MP3 with a large picture in its tags is probed like one without."""
    path = write(tmp_path / "a.mp3")
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.APIC(encoding=3, mime="image/png", type=3, data=_png()))
    tags.add(mutagen.id3.TIT2(encoding=3, text="x" * 200_000))
    tags.save(path)
    assert probe(os.fspath(path)).duration == pytest.approx(3.0, abs=0.05)


def test_an_mp3_that_does_not_say_its_length_is_not_called_truncated(tmp_path: Path) -> None:
    """Without a Xing header FFmpeg guesses from the first bit rate; a guess refuses nobody."""
    quiet_then_loud = np.concatenate([np.zeros((5 * 44_100, 2), np.float32), tone(5)])
    path = tmp_path / "a.mp3"
    with av.open(os.fspath(path), "w", format="mp3", container_options={"write_xing": "0"}) as file:
        stream = file.add_stream("libmp3lame", rate=44_100, options={"flags": "+qscale"})
        stream.layout = "stereo"
        stream.codec_context.global_quality = 118 * 4
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(quiet_then_loud.T), format="fltp", layout="stereo"
        )
        frame.sample_rate = 44_100
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert probe(os.fspath(path)).duration == pytest.approx(10.0, abs=0.2)


def test_a_scratch_in_a_long_mp3_is_tolerated_and_counted(tmp_path: Path) -> None:
    """A few damaged packets below one in a hundred don't refuse a song."""
    path = overwrite(write(tmp_path / "a.mp3", tone(15)), 0.5, 0.004)
    found = probe(os.fspath(path))
    assert 1 <= found.bad_packets <= 6
    assert found.duration == pytest.approx(15.0, abs=0.5)


def test_a_wav_that_lost_a_part_is_truncated_though_ffmpeg_shortens_it(tmp_path: Path) -> None:
    """The data chunk's own size is the measure; one from a pipe has none and is fine."""
    path = write(tmp_path / "a.wav")
    data = path.read_bytes()
    at = data.index(b"data") + 4
    path.write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
    assert verdict(path) == "ok"
    path.write_bytes(data[: int(len(data) * 0.97)])
    assert verdict(path) == "truncated"


@pytest.mark.parametrize(
    "name", [b"line\nbreak.wav", b"caf\xe9 \xff.wav", "🎵 ключ.wav".encode(), b"a" * 251 + b".wav"]
)
def test_any_file_name_is_probed(tmp_path: Path, name: bytes) -> None:
    """Newlines, bytes that aren't UTF-8, emoji and 255 bytes are only names."""
    path = write(tmp_path / "a.wav").rename(tmp_path / os.fsdecode(name))
    assert probe(os.fspath(path)).duration == pytest.approx(3.0)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    """A vanished file is no verdict on its content."""
    with pytest.raises(FileNotFoundError):
        probe(os.fspath(tmp_path / "gone.wav"))


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_a_good_stem_is_verified(tmp_path: Path, format: str) -> None:
    """Whole, of the format asked for, as long as the song."""
    path = write(tmp_path / f"a.{format}")
    assert verify(os.fspath(path), expected=3.2, format=format).duration == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("spoil", "expected", "format"),
    [
        (lambda path: write(path, format="mp3"), 3.0, "wav"),
        (lambda path: write(path, format="m4a"), 3.0, "mp3"),
        (lambda path: write(path), 3.6, "wav"),
        (lambda path: cut(write(path), 0.6), None, "wav"),
        (lambda path: path.write_bytes(b"<html>expired</html>"), 3.0, "wav"),
        (lambda path: path.write_bytes(b""), 3.0, None),
    ],
)
def test_a_bad_stem_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], expected: float | None, format: str | None
) -> None:
    """Another format, another length, half of it, an error page and nothing: all `bad_stem`."""
    spoil(tmp_path / "stem.wav")
    with pytest.raises(Reject) as raised:
        verify(os.fspath(tmp_path / "stem.wav"), expected=expected, format=format)
    assert raised.value.code == "bad_stem"


def _png() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="image2pipe") as file:
        stream = file.add_stream("png", rate=1)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24"
        file.mux(stream.encode(av.VideoFrame(64, 64, "rgb24")))
        file.mux(stream.encode(None))
    return out.getvalue()
