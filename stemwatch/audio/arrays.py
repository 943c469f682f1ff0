"""Decoded frames as numpy arrays: packed, and mixed down where that is asked, before they are one.

FFmpeg's filters do both. PyAV's own way from a frame to an array is sound for packed samples only:
a planar frame may take the process with it (PyAV 18.1).

Helper and worker processes only: this module imports PyAV and numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.filter import Graph

# What a channel gives to (left, right): ITU-R BS.775; the LFE is left out, as there.
_SIDE = 0.7071
_DOWNMIX: dict[str, tuple[float, float]] = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (_SIDE, _SIDE),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
    **dict.fromkeys(("BL", "SL", "FLC", "WL"), (_SIDE, 0.0)),
    **dict.fromkeys(("BR", "SR", "FRC", "WR"), (0.0, _SIDE)),
}
_CENTRE = (0.5, 0.5)  # back centre, and names nobody has heard of


def native(frames: Iterable[AudioFrame]) -> Iterator[np.ndarray]:
    """Each frame's samples as they are, shape (n, channels), in the decoder's own type.

    All frames must have the first one's rate, layout and format (ValueError).
    """
    packer: AudioResampler | None = None
    for frame in frames:
        frame.pts = None
        packer = packer or AudioResampler(frame.format.packed.name)
        for packed in packer.resample(frame):
            yield array_of(packed)


def stereo(frames: Iterable[AudioFrame], rate: int) -> Iterator[np.ndarray]:
    """Float32 of shape (n, 2), full scale 1.0, at `rate` Hz, whatever the frames are.

    Mono is doubled; more than two channels are mixed down so that they can't clip. Frames may
    change their rate, layout and format midway.
    """
    converter: Graph | None = None
    shape: tuple[Any, ...] = ()
    for frame in frames:
        frame.pts = None
        # Chained streams and garbage change rate or layout midway: finish one, begin the next.
        if shape != (now := (frame.sample_rate, frame.layout.name, frame.format.name)):
            yield from _through(converter, None)
            converter, shape = _to_stereo(frame, rate), now
        yield from _through(converter, frame)
    yield from _through(converter, None)


def _to_stereo(frame: AudioFrame, rate: int) -> Graph:
    """The filters for frames of this one's shape; samples become float before they are summed."""
    graph, of = Graph(), frame.sample_rate
    chain = [
        graph.add(
            "abuffer",
            sample_rate=str(of),
            sample_fmt=frame.format.name,
            channel_layout=frame.layout.name,
            time_base=f"1/{of}",
        ),
        graph.add("aformat", sample_fmts="flt"),
        graph.add("pan", _gains([channel.name for channel in frame.layout.channels])),
        graph.add("aformat", sample_fmts="flt", sample_rates=str(rate), channel_layouts="stereo"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph


def _gains(channels: list[str]) -> str:
    """The arguments of FFmpeg's `pan`, from its channels' names to left and right."""
    if len(channels) <= 2:  # two channels of any name are left and right
        return f"stereo|c0=c0|c1=c{len(channels) - 1}"
    matrix = np.array([_DOWNMIX.get(name, _CENTRE) for name in channels])
    matrix /= max(1.0, matrix.sum(axis=0).max())
    sides = ("+".join(f"{gain:.9f}*c{i}" for i, gain in enumerate(side)) for side in matrix.T)
    return "stereo|" + "|".join(f"c{side}={terms}" for side, terms in enumerate(sides))


def _through(graph: Graph | None, frame: AudioFrame | None) -> Iterator[np.ndarray]:
    """What comes out for this frame; for None what is left."""
    if graph is None:
        return
    graph.push(frame)
    while True:
        try:
            out = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):  # it wants more, or has no more
            return
        assert isinstance(out, AudioFrame)
        yield array_of(out)


def array_of(frame: AudioFrame) -> np.ndarray:
    """The only place where a frame becomes an array, shape (n, channels)."""
    if frame.format.is_planar:
        raise TypeError(f"{frame} has to be packed before it becomes an array")
    samples: np.ndarray = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
    return samples
