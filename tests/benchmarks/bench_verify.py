"""What measuring a song's stems adds to verifying them: `python -m tests.benchmarks.bench_verify`.

Four stems of 210 s, as wav, flac and mp3, in a fresh audio helper each time, start and imports
included: CPU milliseconds a song, the best of three. A verification reads headers and decodes one
packet in 32 (of a WAV eight in all), so that no measuring can be had for 1.3 x of it: a plain
decode of every stem is given as well, and so is FFmpeg's own meter (`ebur128=peak=true`), which
draws no waveform.

Goal: verifying and measuring take less CPU than verifying and FFmpeg's own meter. A minute or two.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
from av.filter import Graph

from stemwatch.audio.frames import Source
from stemwatch.audio.helper.client import AudioHelper
from stemwatch.outbox.waveform_file import COLUMNS
from tests.benchmarks.looking import load
from tests.support.audio_samples import tone, write

SECONDS, STEMS = 210.0, 4
FORMATS = ("wav", "flac", "mp3")


def verified(path: str, *, columns: int | None) -> None:
    """By a helper, as `fetch` does it; `columns` None: not measured."""

    async def song() -> None:
        audio = AudioHelper()
        for _ in range(STEMS):
            await audio.verify(path, SECONDS, path.rpartition(".")[2])
            if columns is not None:
                await audio.measure(path, columns)
        await audio.close()

    asyncio.run(song())


def decoded(path: str, *, metered: bool) -> None:
    """Every frame, through FFmpeg's meter if asked for."""
    for _ in range(STEMS):
        graph = None
        with Source(path) as source:
            for frame in source.frames():
                if metered:
                    frame.pts = None
                    graph = graph or _meter(frame)
                    _push(graph, frame)


def _meter(frame: av.AudioFrame) -> Graph:
    graph = Graph()
    shape = f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}"
    source = f"{shape}:channel_layout={frame.layout.name}:time_base=1/{frame.sample_rate}"
    chain = graph.add("abuffer", source), graph.add("ebur128", "metadata=1:peak=true")
    graph.link_nodes(*chain, graph.add("abuffersink")).configure()
    return graph


def _push(graph: Graph, frame: av.AudioFrame) -> None:
    graph.push(frame)
    while True:
        try:
            graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


WAYS: dict[str, Callable[[str], None]] = {
    "verify": lambda path: verified(path, columns=None),
    "verify + measure": lambda path: verified(path, columns=0),
    "verify + measure + waveform": lambda path: verified(path, columns=COLUMNS),
    "decode every frame": lambda path: decoded(path, metered=False),
    "decode, FFmpeg's own meter": lambda path: decoded(path, metered=True),
}


def cost(way: str, path: str) -> float:
    """CPU milliseconds of a process of its own, its helpers included; the best of three."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_verify", way, path]
    return min(
        float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        for _ in range(3)
    )


def _cpu() -> float:
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


def main() -> None:
    print(f"{load()}; {STEMS} stems of {SECONDS:g} s: CPU ms a song")
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        for format in FORMATS:
            path = os.fspath(write(Path(folder) / f"stem.{format}", tone(SECONDS)))
            found = {way: cost(way, path) for way in WAYS}
            for way, cpu in found.items():
                print(f"{format:5} {way:28} {cpu:7.0f} ms")
            verify, _, ours, plain, meter = found.values()
            print(
                f"{format:5} measured / verified: {ours / verify:.1f} x; "
                f"/ verified and decoded: {ours / (verify + plain):.2f} x; "
                f"/ verified and FFmpeg's meter: {ours / (verify + meter):.2f} x (goal: 1)"
            )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        began = _cpu()
        WAYS[sys.argv[1]](sys.argv[2])
        print(1000 * (_cpu() - began))
    else:
        main()
