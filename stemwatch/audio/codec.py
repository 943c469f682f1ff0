"""Decode any song to stereo blocks, encode blocks to WAV, FLAC or MP3; bounded memory both ways.

Helper and worker processes only: this module imports PyAV and numpy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame

from stemwatch.audio.arrays import stereo
from stemwatch.audio.containers.wav_chunks import plain_header
from stemwatch.audio.frames import Source
from stemwatch.audio.gapless import mend_padding

BLOCK = 65_536  # samples per channel in one decoded block: 0.5 MB of float32 stereo

# format -> container, then depth -> (codec, sample format); depth 0 is 32-bit float
_ENCODINGS: dict[str, tuple[str, dict[int, tuple[str, str]]]] = {
    "wav": (
        "wav",
        {
            16: ("pcm_s16le", "s16"),
            24: ("pcm_s24le", "s32"),
            32: ("pcm_s32le", "s32"),
            0: ("pcm_f32le", "flt"),
        },
    ),
    "flac": ("flac", {16: ("flac", "s16"), 24: ("flac", "s32")}),
    "mp3": ("mp3", {0: ("libmp3lame", "fltp")}),
}
# What FLAC's channels mean, by their number (RFC 9639, 9.1.3).
_LAYOUTS = {
    1: "mono",
    2: "stereo",
    3: "3.0",
    4: "quad",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
}
# rf64=auto: an hour fits a classic WAV, 6.7 hours don't, and a wrapped 32-bit size loses the rest.
# write_xing keeps encoder delay and padding, so that the decoded length is the encoded one.
_MUXER_OPTIONS = {
    "wav": {"rf64": "auto", "fflags": "+bitexact"},
    "flac": {"fflags": "+bitexact"},
    "mp3": {"write_xing": "1", "id3v2_version": "0", "fflags": "+bitexact"},
}


def decode(path: str, *, rate: int = 44_100) -> Iterator[np.ndarray]:
    """Blocks of float32, shape (n, 2) with 0 < n, full scale 1.0, at `rate` Hz.

    Mono is doubled, more than two channels are mixed down so that they can't clip, bad packets are
    skipped, time stamps ignored, NaN and infinities silenced. Memory does not grow with the length.
    Raises Reject (`not_audio`, `no_audio_stream`); OSError where the file can't be read.
    """
    with Source(path) as source:
        for block in gathered(stereo(source.frames(), rate)):
            yield _clean(block)


def gathered(pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The samples in blocks of BLOCK or a little more; the last one may be shorter."""
    held: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= BLOCK:
            yield np.concatenate(held)
            held, count = [], 0
    if count:
        yield np.concatenate(held)


def even(pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The samples in blocks of BLOCK exactly; the last one may be shorter."""
    held: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        while count >= BLOCK:
            joined = np.concatenate(held)
            yield joined[:BLOCK]
            held, count = [joined[BLOCK:]], count - BLOCK
    if count:
        yield np.concatenate(held)


def _clean(samples: np.ndarray) -> np.ndarray:
    block = np.ascontiguousarray(samples, np.float32)
    return np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def to_pcm(block: np.ndarray, depth: int) -> np.ndarray:
    """Float samples as integers of `depth` bits (16: int16; 24 and 32: int32, left-justified).

    Rounds to nearest, ties to even, without dither: the same for every stem, so that n stems that
    sum to the mix in float do so within n/2 LSB here. Values beyond full scale are clipped.
    """
    full = 1 << (depth - 1)
    scaled = np.clip(np.rint(block.astype(np.float64) * full), -full, full - 1)
    if depth == 16:
        return scaled.astype(np.int16)
    return scaled.astype(np.int32) << (32 - depth)


class Encoder:
    """Writes blocks to one file; a context manager that leaves a whole file when it ends well.

    `format` is wav, flac or mp3 (320 kbit/s CBR, gapless); `depth` 16 by default, 24 or 32 for
    integers, 0 for float WAV; MP3 takes float whatever the depth. `layout` is FFmpeg's name of what
    the channels are; "" is the usual of their number. The caller handles clipping by scaling all
    stems alike. Raises OSError (disk full, no right); the partial file is the caller's.
    """

    def __init__(
        self,
        path: str,
        format: str,
        *,
        rate: int = 44_100,
        channels: int = 2,
        depth: int = 16,
        layout: str = "",
    ) -> None:
        container, codecs = _ENCODINGS[format]
        self._path, self._format, self._mp3 = os.path.abspath(path), format, format == "mp3"
        self.depth = 0 if self._mp3 else depth
        codec, self._sample_format = codecs[self.depth]
        self.rate, self.channels = rate, channels
        options = _MUXER_OPTIONS[format]
        self._container: Any = av.open(self._path, "w", format=container, container_options=options)
        self._layout = layout or _layout(channels)
        self._stream = _add_stream(self._container, codec, rate, self._layout, self._sample_format)
        self._container.start_encoding()  # a file without samples still gets its header
        self._position = 0

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
        if kind is None and self._mp3:
            mend_padding(self._path, self._position, self.rate)
        elif kind is None and self._format == "wav":
            with open(self._path, "r+b") as file:
                plain_header(file)

    def write(self, block: np.ndarray) -> None:
        """Append float samples, shape (n, channels), full scale 1.0."""
        self.write_native(to_pcm(block, self.depth) if self.depth else block.astype(np.float32))

    def write_native(self, block: np.ndarray) -> None:
        """Append samples in the encoder's own type (see `to_pcm`), shape (n, channels)."""
        if not len(block):
            return
        planar = self._sample_format.endswith("p")
        data = np.ascontiguousarray(block.T if planar else block.reshape(1, -1))
        frame = AudioFrame.from_ndarray(data, format=self._sample_format, layout=self._layout)
        frame.sample_rate, frame.pts = self.rate, self._position
        self._position += len(block)
        self._container.mux(self._stream.encode(frame))


def _add_stream(container: Any, codec: str, rate: int, layout: str, sample_format: str) -> Any:
    # Level 7 is 30 x realtime instead of 16, and nearer to the original at 320 kbit/s.
    options = {"compression_level": "7"} if codec == "libmp3lame" else {}
    stream = container.add_stream(codec, rate=rate, options=options)
    stream.layout = layout
    stream.codec_context.format = sample_format
    stream.codec_context.thread_count = 1
    if codec == "libmp3lame":
        stream.bit_rate = 320_000
        # Under FFmpeg's own name Firefox plays the encoder's delay (13 ms) as well.
        stream.metadata["encoder"] = "LAME3.100"
    return stream


def _layout(channels: int) -> str:
    return _LAYOUTS.get(channels, f"{channels}C")
