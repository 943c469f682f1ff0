"""Sum stems sample by sample at their own levels, rate and depth.

Helper process only: this module imports PyAV and numpy.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np
from av.audio.frame import AudioFrame

from stemwatch.audio.arrays import native
from stemwatch.audio.codec import Encoder, even
from stemwatch.audio.frames import Source
from stemwatch.audio.results import MixResult
from stemwatch.codes import Code
from stemwatch.errors import Reject

_FLOAT = 0


def mix(
    inputs: Sequence[str], out: str, format: str, factors: Sequence[float] | None = None
) -> MixResult:
    """Write the sum of `inputs` to `out` (wav, flac or mp3); nothing is normalised or resampled.

    `factors`: what each input is multiplied by, None: 1. Integer stems are summed exactly. Only
    where the sum would clip, all are lowered by one gain, which the result names; float WAV can't
    clip and is left alone. A shorter input ends early in silence. Raises
    Reject(code="mix_mismatch") where rates or channels differ, OSError for disks.
    """
    with ExitStack() as opened:
        sources = [opened.enter_context(Source(path)) for path in inputs]
        rate, channels = _common_shape(sources)
        depth = _depth(sources, format)
    faders = [1.0] * len(inputs) if factors is None else factors
    peak = _render(inputs, faders, out, format, rate, channels, depth, 1.0)
    limit = _limit(format, depth)
    if peak <= limit:
        return MixResult(gain_db=0.0, peak=peak)
    gain = limit / peak  # rare: so the second pass is made only then
    _render(inputs, faders, out, format, rate, channels, depth, gain)
    return MixResult(gain_db=20 * math.log10(gain), peak=peak)


def _render(
    inputs: Sequence[str],
    faders: Sequence[float],
    out: str,
    format: str,
    rate: int,
    channels: int,
    depth: int,
    gain: float,
) -> float:
    """Write the sum times `gain`; returns the sum's peak before the gain."""
    peak = 0.0
    with ExitStack() as opened:
        streams = [
            _blocks(opened.enter_context(Source(path)), fader)
            for path, fader in zip(inputs, faders, strict=True)
        ]
        encoder = opened.enter_context(
            Encoder(out, format, rate=rate, channels=channels, depth=depth)
        )
        while blocks := [block for stream in streams if (block := next(stream, None)) is not None]:
            total = summed(blocks)
            if len(total):
                peak = max(peak, float(np.abs(total).max()))
            encoder.write(total if gain == 1.0 else total * gain)
    return peak


def _blocks(source: Source, fader: float) -> Iterator[np.ndarray]:
    """Even blocks, times `fader`. 53 bits of float64 hold any sum of 32-bit stems."""
    doubles = map(_to_double, native(_alike(source)))
    return even(doubles if fader == 1.0 else (samples * fader for samples in doubles))


def _alike(source: Source) -> Iterator[AudioFrame]:
    """The frames of a stem that stays as it began: its samples must meet the others'."""
    first: tuple[int, str, str] | None = None
    for frame in source.frames():
        shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        first = first or shape
        if shape != first or frame.layout.nb_channels != source.channels:
            raise _mismatch(f"{os.path.basename(source.path)!r} changes its layout midway")
        yield frame


def _to_double(samples: np.ndarray) -> np.ndarray:
    if samples.dtype.kind == "f":
        return samples.astype(np.float64)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) / 128
    return samples.astype(np.float64) / float(1 << (8 * samples.dtype.itemsize - 1))


def summed(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """In double, which holds a sum of integers exactly; a shorter one ends in silence."""
    total = np.zeros((max(map(len, blocks)), blocks[0].shape[1]))
    for block in blocks:
        total[: len(block)] += block
    return total


def _common_shape(sources: Sequence[Source]) -> tuple[int, int]:
    shapes = {(source.sample_rate, source.channels) for source in sources}
    if len(shapes) != 1:
        found = ", ".join(f"{channels} channels at {rate} Hz" for rate, channels in sorted(shapes))
        raise _mismatch(f"the stems differ: {found or 'there are none'}")
    return shapes.pop()


def _depth(sources: Sequence[Source], format: str) -> int:
    """Bits of the widest input that `format` can hold; 0 is float."""
    depths = [_source_depth(source) for source in sources]
    if format == "flac":
        return 24 if _FLOAT in depths else min(24, max(depths))
    return _FLOAT if format == "mp3" or _FLOAT in depths else max(depths)


def _source_depth(source: Source) -> int:
    sample_format = source.stream.codec_context.format.name
    if sample_format.startswith(("flt", "dbl")):
        return _FLOAT
    if sample_format.startswith(("u8", "s16")):
        return 16
    whole = source.codec.startswith("pcm_s32")  # FLAC and 24-bit WAV also decode to s32
    return 32 if whole else 24


def _limit(format: str, depth: int) -> float:
    """The highest peak that is written unclipped; an MP3 is played through integers."""
    if depth:
        full = 1 << (depth - 1)
        return (full - 1) / full
    return 1.0 if format == "mp3" else math.inf


def _mismatch(what: str) -> Reject:
    return Reject(
        f"A mix can't be made: {what}.",
        code=Code.MIX_MISMATCH,
        hint="Stems are summed as they are, and never resampled.",
    )
