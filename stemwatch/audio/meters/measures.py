"""A stem's measures, from one decode: loudness, true peak, the share that sounds, a waveform.

Helper process only: this module imports PyAV and numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph

from stemwatch.audio.arrays import array_of
from stemwatch.audio.frames import Source
from stemwatch.audio.meters.true_peak import TruePeak
from stemwatch.audio.meters.waveform import Waveform
from stemwatch.audio.results import Measures
from stemwatch.codes import Code
from stemwatch.errors import Reject

# A block of a tenth of a second sounds if its louder channel's RMS is above -60 dBFS.
_HEARD = 1e-6  # mean square
_NOTHING = -70.0  # LUFS: EBU R128's absolute gate, which its integrated loudness begins with
_AT_ONCE = 16  # blocks: numpy's calls cost as much as a block


def measure(path: str, columns: int) -> Measures:
    """What a stem measures; its waveform has `columns` columns, none for 0.

    Raises Reject (`not_audio`, `no_audio_stream`; `bad_stem` for a form that changes midway),
    OSError, av.FFmpegError.
    """
    meters = _Meters()
    for blocks in _alike(_blocks(path, meters)):
        meters.feed(np.stack(blocks))
    return meters.read(columns)


class _Meters:
    def __init__(self) -> None:
        self.loudness = _NOTHING  # LUFS
        self._peak, self._waveform = TruePeak(), Waveform()
        self._samples = self._heard = 0

    def feed(self, blocks: np.ndarray) -> None:
        """Float32 of shape (blocks, samples, channels); a damaged float file may hold NaN."""
        count, length, channels = blocks.shape
        samples = np.ascontiguousarray(blocks.reshape(-1, channels).T)
        squares = _squares(samples.reshape(channels, count, length))
        if not np.isfinite(squares).all():
            samples = np.nan_to_num(samples, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
            squares = _squares(samples.reshape(channels, count, length))
        self._samples += count * length
        self._heard += length * int((squares.max(axis=0) > _HEARD * length).sum())
        self._peak.feed(samples)
        self._waveform.feed(samples)

    def read(self, columns: int) -> Measures:
        loud = math.isfinite(self.loudness) and self.loudness > _NOTHING
        peak = self._peak.peak
        return Measures(
            loudness_lufs=round(self.loudness, 2) if loud else None,
            true_peak_dbtp=round(20 * math.log10(peak), 2) if peak > 0 else None,
            active_share=round(self._heard / self._samples, 4) if self._samples else None,
            waveform=self._waveform.drawn(columns) if columns else b"",
        )


def _squares(samples: np.ndarray) -> np.ndarray:
    """The sum of the squares of each channel's blocks."""
    found: np.ndarray = np.einsum("cbs,cbs->cb", samples, samples)
    return found


def _blocks(path: str, meters: _Meters) -> Iterator[np.ndarray]:
    """The samples as FFmpeg's loudness meter hands them on, a tenth of a second each."""
    with Source(path) as source:
        graph: Graph | None = None
        shape: tuple[object, ...] = ()
        for frame in source.frames():
            frame.pts = None
            now = frame.sample_rate, frame.layout.name, frame.format.name
            if graph is None:
                graph, shape = _meter(frame), now
            elif now != shape:
                raise _changing(path)
            graph.push(frame)
            yield from _pulled(graph, meters)
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph, meters)


def _meter(frame: AudioFrame) -> Graph:
    graph = Graph()
    chain = [
        graph.add(
            "abuffer",
            sample_rate=str(frame.sample_rate),
            sample_fmt=frame.format.name,
            channel_layout=frame.layout.name,
            time_base=f"1/{frame.sample_rate}",
        ),
        graph.add("ebur128", "metadata=1"),
        graph.add("aformat", "sample_fmts=flt"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph


def _pulled(graph: Graph, meters: _Meters) -> Iterator[np.ndarray]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, AudioFrame)
        if told := frame.metadata.get("lavfi.r128.I"):
            meters.loudness = float(told)
        yield array_of(frame)


def _alike(blocks: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Some blocks of one length at a time: only the last one is shorter."""
    held: list[np.ndarray] = []
    for block in blocks:
        if held and (len(held) == _AT_ONCE or len(block) != len(held[0])):
            yield held
            held = []
        held.append(block)
    if held:
        yield held


def _changing(path: str) -> Reject:
    return Reject(f"{path!r} changes its rate or channels midway.", code=Code.BAD_STEM)
