"""Stems that really are audio: a quiet tone of the right length, in WAV, FLAC or MP3."""

from __future__ import annotations

import functools
import io
import math
import struct
from collections.abc import AsyncIterator

from tests.support.scenario.wire import BLOCK, Answer

RATE = 44100
NAMES = {
    "2": ("vocals", "instrumental"),
    "4": ("vocals", "drums", "bass", "other"),
    "6": ("vocals", "drums", "bass", "other", "guitar", "piano"),
}
TYPES = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg"}


def stem_answer(name: str, kind: str, seconds: float) -> Answer:
    """A stem's file as an answer; WAV is streamed, so a long one costs no memory."""
    headers = {"Content-Type": TYPES[kind]}
    if kind != "wav":
        return Answer(200, encoded(name, kind, round(seconds, 3)), headers)
    frames = round(seconds * RATE)
    head = wav_header(frames)
    return Answer(200, _wav(name, head, frames * 4), headers, length=len(head) + frames * 4)


async def _wav(name: str, head: bytes, size: int) -> AsyncIterator[bytes]:
    second = tone(name)
    yield head + second[: min(size, len(second))]
    left = size - min(size, len(second))
    block = second * (BLOCK // len(second) + 1)
    while left > 0:
        yield block[:left]
        left -= min(left, len(block))


def wav_header(frames: int) -> bytes:
    """Of 16-bit stereo at 44.1 kHz."""
    size = frames * 4
    form = struct.pack("<HHIIHH", 1, 2, RATE, RATE * 4, 4, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + (b"data" + struct.pack("<I", size))
    )


@functools.cache
def tone(name: str) -> bytes:
    """One second, another pitch for each stem: whole periods, so it repeats without a click."""
    pitch = 110 + sum(name.encode()) % 440
    samples = (round(3000 * math.sin(2 * math.pi * pitch * frame / RATE)) for frame in range(RATE))
    return b"".join(struct.pack("<hh", value, value) for value in samples)


@functools.lru_cache(maxsize=64)
def encoded(name: str, kind: str, seconds: float) -> bytes:
    """The same tone as FLAC or MP3 (PyAV)."""
    import av
    from av.audio.resampler import AudioResampler

    frames = round(seconds * RATE)
    pcm = (tone(name) * (frames // RATE + 1))[: frames * 4]
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as container:
        stream = container.add_stream("libmp3lame" if kind == "mp3" else "flac", rate=RATE)
        stream.layout = "stereo"
        resampler = AudioResampler(
            format=stream.codec_context.format,
            layout="stereo",
            rate=RATE,
            frame_size=4096 if kind == "flac" else 1152,
        )
        whole = av.AudioFrame(format="s16", layout="stereo", samples=frames)
        whole.planes[0].update(pcm.ljust(whole.planes[0].buffer_size, b"\0"))
        whole.sample_rate = RATE
        whole.pts = 0
        for frame in [*resampler.resample(whole), *resampler.resample(None)]:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()
