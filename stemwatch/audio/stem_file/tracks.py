"""The five tracks of a stem file: stems summed into four, the mix of these before them, encoded.

Helper process only: this module imports PyAV and numpy.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.stream import Disposition

from stemwatch.audio.codec import decode, even, to_pcm
from stemwatch.audio.frames import Source
from stemwatch.audio.mix import summed

_MOST = 48_000  # Hz: decks know no more
_BITS = 256_000  # a second and track of AAC
_AAC_RATES = frozenset(
    {48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350}
)
_SILENCE = np.zeros((0, 2), np.float32)


def write_tracks(inputs: Sequence[Sequence[str]], out: str, codec: str) -> None:
    """Write to `out` one stereo track for each list of `inputs`, their sum, and before them the mix
    of all.

    `codec`: alac (24 bits where a stem has more than 16, exact for stems of up to 48 kHz) or aac.
    All tracks are as long as the longest stem, at one rate of at most 48 kHz; mono is doubled.
    Memory does not grow with the length but for the file's index: some MB an hour. Raises OSError
    for disks, Reject for a stem that can't be opened.
    """
    rate, depth = _shape([path for paths in inputs for path in paths], codec)
    streams = [[even(decode(path, rate=rate)) for path in paths] for paths in inputs]
    with _Writer(out, codec, rate, depth, len(inputs) + 1) as writer:
        while True:
            sums = [summed([next(one, _SILENCE) for one in stream]) for stream in streams]
            length = max(map(len, sums))
            if not length:
                return
            padded = [np.pad(one, ((0, length - len(one)), (0, 0))) for one in sums]
            writer.write(padded)


def _shape(paths: Sequence[str], codec: str) -> tuple[int, int]:
    """The rate in Hz, and the bits of a sample: 16 or 24; 0 is float."""
    rate, depth = 0, 16
    for path in paths:
        with Source(path) as source:
            rate = max(rate, source.sample_rate)
            stored = source.stream.codec_context.format.name
            exact = source.codec.startswith(("pcm_", "flac"))  # an MP3 has no bits of its own
            if exact and not stored.startswith(("u8", "s16")):
                depth = 24
    rate = min(rate, _MOST)
    if codec == "aac":
        return rate if rate in _AAC_RATES else _MOST, 0
    return rate, depth


class _Writer:
    """One M4A file of `count` tracks; a context manager that leaves a whole file when it ends
    well. `depth` 0: AAC."""

    def __init__(self, path: str, codec: str, rate: int, depth: int, count: int) -> None:
        self._rate, self._depth, self._position = rate, depth, 0
        self._format = {0: "fltp", 16: "s16p", 24: "s32p"}[depth]
        # A timescale of milliseconds, the muxer's own, would round the tracks' length.
        options = {"movie_timescale": str(rate), "fflags": "+bitexact"}
        name = os.path.abspath(path)
        self._container: Any = av.open(name, "w", format="ipod", container_options=options)
        self._streams = [self._added(codec, number) for number in range(count)]
        self._container.start_encoding()

    def _added(self, codec: str, number: int) -> Any:
        stream = self._container.add_stream(codec, rate=self._rate)
        stream.layout = "stereo"
        stream.codec_context.format = self._format
        stream.codec_context.thread_count = 1
        if not self._depth:
            stream.bit_rate = _BITS
        # Only the mix is enabled: it is what other players begin with.
        stream.disposition = Disposition(0) if number else Disposition.default
        return stream

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            for stream in self._streams if kind is None else ():
                self._container.mux(stream.encode(None))
        finally:
            self._container.close()

    def write(self, tracks: Sequence[np.ndarray]) -> None:
        """Append a block of every track but the mix: doubles of shape (n, 2), all equally long."""
        for stream, block in zip(self._streams, self._with_mix(tracks), strict=True):
            data = np.ascontiguousarray(block.T)
            frame = AudioFrame.from_ndarray(data, format=self._format, layout="stereo")
            frame.sample_rate, frame.pts = self._rate, self._position
            self._container.mux(stream.encode(frame))
        self._position += len(tracks[0])

    def _with_mix(self, tracks: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The mix, clipped at full scale, and the tracks, as samples of the encoder."""
        if not self._depth:
            return [block.astype(np.float32) for block in (np.sum(tracks, axis=0), *tracks)]
        stored = [to_pcm(block, self._depth) for block in tracks]
        unused = 8 * stored[0].itemsize - self._depth  # bits below a sample's lowest
        lowest, highest = -1 << (self._depth - 1), (1 << (self._depth - 1)) - 1
        total = np.sum(stored, axis=0, dtype=np.int64)
        mix = np.clip(total, lowest << unused, highest << unused).astype(stored[0].dtype)
        return [mix, *stored]
