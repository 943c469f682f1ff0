"""Sound in any format that FFmpeg encodes, with clicks whose places are known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from stemwatch.audio.arrays import native
from stemwatch.audio.frames import Source

SECONDS = 6
CLICKS = (0.5, 2.5, 5.5)  # seconds; the last one near the end, where a delay would show as well


def clicks(rate: int, channels: int) -> np.ndarray:
    """Quiet noise with clicks: 24-bit integers on the left of 32, shape (n, channels)."""
    sound = 0.01 * np.random.default_rng(1).standard_normal((rate * SECONDS, channels))
    for second in CLICKS:
        sound[int(second * rate)] = 0.9
    return np.rint(sound * (1 << 23)).astype(np.int32) << 8


def encode(path: Path, codec: str, container: str | None = None, **options: Any) -> np.ndarray:
    """Write `clicks` and return what was written. `rate`, `layout` and `format` may be given."""
    rate, layout = options.get("rate", 48_000), options.get("layout", "stereo")
    with av.open(path, "w", format=container) as file:
        stream = sound_stream(file, codec, rate, layout, options.get("format"))
        samples = clicks(rate, stream.codec_context.layout.nb_channels)
        for packet in packets(stream, samples):
            file.mux(packet)
    return samples


def sound_stream(file: Any, codec: str, rate: int, layout: str, format: str | None = None) -> Any:
    """A stream of sound in the open file, whose encoder is open."""
    stream = file.add_stream(codec, rate=rate)
    stream.layout = layout
    if not codec.startswith("pcm") and "amr" not in codec:
        stream.bit_rate = 192_000
    if format:
        stream.codec_context.format = format
    stream.codec_context.open()
    return stream


def packets(stream: Any, samples: np.ndarray) -> list[Any]:
    """The samples, encoded."""
    context = stream.codec_context
    rate, layout = context.sample_rate, context.layout.name
    frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s32", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    convert = AudioResampler(context.format.name, layout, rate, context.frame_size or 4096)
    frames = [*convert.resample(frame), *convert.resample(None)]
    return [packet for one in (*frames, None) for packet in stream.encode(one)]


def decoded_as_is(path: Path) -> np.ndarray:
    """All samples in the decoder's own type, shape (n, channels)."""
    with Source(str(path)) as source:
        return np.concatenate(list(native(source.frames())))


def lag(samples: np.ndarray, of: np.ndarray) -> int:
    """By how many samples the first lie behind the second where both are most alike."""
    size = 2 * max(len(samples), len(of))
    spectra = [np.fft.rfft(one[:, 0].astype(float), size) for one in (samples, of)]
    alike = np.fft.irfft(spectra[0] * spectra[1].conj())
    place = int(np.argmax(alike))
    return place if place < size // 2 else place - size
