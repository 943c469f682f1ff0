"""Decoding and encoding real files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout

from stemwatch.audio.arrays import array_of, native, stereo
from stemwatch.audio.codec import BLOCK, Encoder, decode
from stemwatch.audio.frames import Source
from stemwatch.errors import Reject
from tests.support.audio_samples import FORMATS, RATE, decoded, overwrite, tone, write


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_lossless_round_trip_is_exact_to_half_an_lsb(tmp_path: Path, format: str) -> None:
    """What comes back differs by rounding only, and a second trip changes nothing at all."""
    samples = tone()
    once = decoded(write(tmp_path / f"a.{format}", samples))
    twice = decoded(write(tmp_path / f"b.{format}", once))
    assert once.shape == samples.shape
    assert np.abs(once - samples).max() <= 0.5 / 32768
    assert np.array_equal(once, twice)


@pytest.mark.parametrize("length", [1, 1151, 1152, 1153, 1198, 1199, 2305, 44_100, 50_000])
def test_mp3_decodes_to_the_length_that_was_written(tmp_path: Path, length: int) -> None:
    """Encoder delay and padding are in the header, also where FFmpeg gets the padding wrong."""
    path = write(tmp_path / "a.mp3", tone(2)[:length])
    assert len(decoded(path)) == length


@pytest.mark.parametrize("rate", [24_000, 8_000])
@pytest.mark.parametrize("length", [577, 623, 624, 25 * 576 + 1])
def test_an_mp3_of_a_low_rate_has_frames_of_half_the_length(
    tmp_path: Path, rate: int, length: int
) -> None:
    """MPEG-2's and MPEG-2.5's."""
    path = os.fspath(tmp_path / "a.mp3")
    with Encoder(path, "mp3", rate=rate) as encoder:
        encoder.write(tone(2, rate=rate)[:length])
    assert len(decoded(path, rate=rate)) == length


def test_an_mp3_names_an_encoder_whose_delay_browsers_leave_out(tmp_path: Path) -> None:
    """Under FFmpeg's name Firefox plays it 13 ms late."""
    with Encoder(os.fspath(tmp_path / "a.mp3"), "mp3") as encoder:
        encoder.write(np.zeros((44_100, 2), np.float32))
    head = (tmp_path / "a.mp3").read_bytes()[:512]
    assert head[head.index(b"Info") + 120 :].startswith(b"LAME3.100")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_decodes_at_its_level_and_length(tmp_path: Path, format: str) -> None:
    """All six come out as stereo float32 at 44.1 kHz, within lossy codecs' error."""
    samples = tone()
    out = decoded(write(tmp_path / f"a.{format}", samples))
    assert out.dtype == np.float32
    assert out.shape[1] == 2
    assert abs(len(out) - len(samples)) <= 1024 + 713
    assert np.std(out) == pytest.approx(np.std(samples), rel=0.05)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (192_000, 2), (48_000, 6), (44_100, 3)])
def test_any_rate_and_layout_becomes_stereo_at_the_asked_rate(
    tmp_path: Path, rate: int, channels: int
) -> None:
    """8 kHz mono, 192 kHz and 5.1 keep their duration and never clip."""
    path = os.fspath(tmp_path / "a.wav")
    with Encoder(path, "wav", rate=rate, channels=channels) as encoder:
        encoder.write(np.full((rate, channels), 0.9, np.float32))
    out = decoded(path)
    assert abs(len(out) - RATE) <= 2
    assert out[RATE // 2] == pytest.approx([0.9, 0.9], abs=0.01)


def test_mono_is_doubled_without_a_change_of_level(tmp_path: Path) -> None:
    """Both sides of a mono file hold its very samples."""
    mono = tone(channels=1)
    out = decoded(write(tmp_path / "a.wav", mono))
    assert np.array_equal(out[:, 0], out[:, 1])
    assert np.abs(out[:, :1] - mono).max() <= 0.5 / 32768


def frames(format: str, layout: str, value: float, rate: int = RATE) -> Iterator[AudioFrame]:
    """A second of one value in a decoder's own form: 10 frames of a sample format and a layout."""
    channels, planar = AudioLayout(layout).nb_channels, format.endswith("p")
    full = {"u8": 128, "s16": 1 << 15, "s32": 1 << 31}.get(format.removesuffix("p"), 1)
    dtype = {"u8": "u1", "s16": "i2", "s32": "i4", "dbl": "f8"}.get(format.removesuffix("p"), "f4")
    shape = (channels, rate // 10) if planar else (1, rate // 10 * channels)
    samples = np.full(shape, value * full + (128 if dtype == "u1" else 0)).astype(dtype)
    for _ in range(10):
        frame = AudioFrame.from_ndarray(samples, format=format, layout=layout)
        frame.sample_rate = rate
        yield frame


FORMATS_OF_DECODERS = ("u8", "s16", "s32", "flt", "dbl", "u8p", "s16p", "s32p", "fltp", "dblp")


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("format", FORMATS_OF_DECODERS)
def test_whatever_a_decoder_gives_is_packed_before_it_is_an_array(format: str, layout: str) -> None:
    """The seam takes packed frames only: what came through it, as float or native, was packed."""
    found = np.concatenate(list(stereo(frames(format, layout, 0.25), RATE)))
    assert (found.shape, found.dtype) == ((RATE, 2), np.float32)
    assert np.array_equal(found, np.full((RATE, 2), 0.25, np.float32))
    channels = AudioLayout(layout).nb_channels
    as_it_is = np.concatenate(list(native(frames(format, layout, 0.25))))
    packed = next(frames(format.removesuffix("p"), layout, 0.25)).to_ndarray()
    assert (as_it_is.shape, as_it_is.dtype) == ((RATE, channels), packed.dtype)
    assert np.array_equal(as_it_is[:2].ravel(), packed[0, : 2 * channels])


def test_a_planar_frame_never_becomes_an_array() -> None:
    """Whoever forgets to pack it is told, before PyAV has it."""
    with pytest.raises(TypeError, match="packed"):
        array_of(next(frames("fltp", "stereo", 0.0)))


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_a_mix_down_happens_before_the_array_and_never_clips(rate: int) -> None:
    """More than two channels come out as two, at the level that they had together."""
    for layout in ("3.0", "5.1", "3C"):
        blocks = list(stereo(frames("s16", layout, 0.9, rate), RATE))
        assert {block.shape[1] for block in blocks} == {2}
        assert np.concatenate(blocks)[RATE // 2] == pytest.approx([0.9, 0.9], abs=1e-3)


def test_a_layout_that_changes_midway_loses_nothing() -> None:
    """Mono, then stereo at another rate, then mono again."""
    changing = [*frames("s16", "mono", 0.5), *frames("fltp", "stereo", 0.25, 48_000)]
    changing += frames("s16", "mono", 0.5)
    found = np.concatenate(list(stereo(changing, RATE)))
    assert abs(len(found) - 3 * RATE) <= 2
    assert found[RATE // 2, 1] == found[5 * RATE // 2, 1] == 0.5
    assert found[3 * RATE // 2] == pytest.approx([0.25, 0.25], abs=1e-3)


def test_stems_still_sum_to_the_mix_after_encoding(tmp_path: Path) -> None:
    """Three stems that sum to the mix in float do so within 2 LSB in PCM16."""
    mix = tone(2)
    first, second = tone(2, seed=2) * 0.3, tone(2, seed=3) * 0.3
    stems = [first, second, mix - first - second]
    summed = sum(decoded(write(tmp_path / f"{i}.wav", stem)) for i, stem in enumerate(stems))
    assert np.abs(summed - decoded(write(tmp_path / "mix.wav", mix))).max() <= 2 / 32768


def test_nan_and_infinity_are_silenced(tmp_path: Path) -> None:
    """A float WAV may hold NaN, which would spread through a whole block of the engine."""
    samples = tone(1)
    samples[100], samples[200] = np.nan, np.inf
    path = os.fspath(tmp_path / "a.wav")
    with Encoder(path, "wav", depth=0) as encoder:
        encoder.write(samples)
    out = decoded(path)
    assert np.isfinite(out).all()
    assert out[100].tolist() == out[200].tolist() == [0.0, 0.0]


def test_blocks_are_bounded_and_none_is_empty(tmp_path: Path) -> None:
    """The caller's memory does not depend on the length of the song."""
    path = write(tmp_path / "a.wav", tone(8))
    lengths = [len(block) for block in decode(os.fspath(path))]
    assert sum(lengths) == 8 * RATE
    assert all(0 < length < BLOCK + 16_384 for length in lengths)


def test_bad_packets_are_skipped_and_counted(tmp_path: Path) -> None:
    """Garbage in the middle costs what it covers, not the rest."""
    path = overwrite(write(tmp_path / "a.mp3", tone(10)), 0.5, 0.05)
    with Source(os.fspath(path)) as source:
        seconds = sum(frame.samples for frame in source.frames()) / RATE
    assert source.bad_packets > 0
    assert 9.0 < seconds < 10.0


def test_a_file_without_samples_is_written_and_decodes_to_nothing(tmp_path: Path) -> None:
    """An encoder that never saw a block still leaves a valid header."""
    path = write(tmp_path / "a.wav", np.zeros((0, 2), np.float32))
    assert decoded(path).shape == (0, 2)


def test_values_beyond_full_scale_are_clipped_not_wrapped(tmp_path: Path) -> None:
    """A peak of 1.5 becomes full scale; wrapped it would be a click of the other sign."""
    out = decoded(write(tmp_path / "a.wav", np.full((100, 2), 1.5, np.float32)))
    assert out.min() > 0.999


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    """A "song" that names other files or URLs is refused, not opened."""
    write(tmp_path / "secret.wav")
    playlist = tmp_path / "song.mp3"
    playlist.write_text("#EXTM3U\n#EXTINF:3,\nsecret.wav\n#EXT-X-ENDLIST\n")
    with pytest.raises(Reject) as raised:
        decoded(playlist)
    assert raised.value.code == "not_audio"
