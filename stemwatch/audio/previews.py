"""Pieces of a stem for a slow line: a few seconds as Ogg Opus, decodable by themselves.

Helper process only: this module imports PyAV and numpy.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain

import av
import numpy as np
from av.audio.frame import AudioFrame

from stemwatch.audio.arrays import stereo
from stemwatch.audio.frames import Source

RATE = 48_000  # Hz: Opus knows no other
_BITS = 96_000  # a second
_BEFORE = 0.5  # seconds that are decoded before the piece: a codec needs some to come in


def preview(path: str, start: float, seconds: float, lead: float) -> bytes:
    """The samples from `start - lead` (not before 0) to `start + seconds`, at 48 kHz stereo.

    `lead` is for the player to leave out: a decoder that begins there is not yet exact. Nothing is
    given (b"") past the end. Raises Reject, OSError.
    """
    first = max(0, round((start - lead) * RATE))
    samples = _samples(path, first, round((start + seconds) * RATE) - first)
    return _encoded(samples) if len(samples) else b""


def _samples(path: str, first: int, count: int) -> np.ndarray:
    """`count` samples at 48 kHz from sample `first`; fewer where the song ends."""
    with Source(path) as source:
        frames = source.frames()
        position = 0
        if first > _BEFORE * RATE:
            where = source.stream.start_time or 0
            where += int((first / RATE - _BEFORE) / source.stream.time_base)
            source.container.seek(where, stream=source.stream)
            frames, position = _at(source, frames)
        held: list[np.ndarray] = []
        found = 0
        for block in stereo(frames, RATE):
            held.append(block[max(0, first - position) :])
            position += len(block)
            found += len(held[-1])
            if found >= count:
                break
    return np.concatenate(held)[:count] if held else np.zeros((0, 2), np.float32)


def _at(source: Source, frames: Iterator[AudioFrame]) -> tuple[Iterator[AudioFrame], int]:
    """The frames after a seek, and at which sample at 48 kHz the first of them is."""
    head = next(frames, None)
    if head is None:
        return iter(()), 0
    begins = (head.pts or 0) - (source.stream.start_time or 0)
    return chain((head,), frames), round(begins * source.stream.time_base * RATE)


def _encoded(samples: np.ndarray) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE)
        stream.layout, stream.bit_rate = "stereo", _BITS
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.reshape(1, -1)), format="flt", layout="stereo"
        )
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()
