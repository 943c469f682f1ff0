"""Whole songs that are made in an unusual way, as real collections hold them."""

from __future__ import annotations

import os
from pathlib import Path

import av
import mutagen.apev2
import mutagen.ogg
import numpy as np

from tests.support.audio_samples import tone


def encode(
    path: Path,
    codec: str,
    seconds: float = 3.0,
    *,
    rate: int = 44_100,
    channels: int = 2,
    bit_rate: int | None = None,
    container: str | None = None,
    options: dict[str, str] | None = None,
    samples: np.ndarray | None = None,
    tags: dict[str, str] | None = None,
) -> Path:
    """Sound of any codec; what FFmpeg can write."""
    samples = tone(seconds, channels=channels, rate=rate) if samples is None else samples
    container_options = options or {}
    with av.open(
        os.fspath(path), "w", format=container, container_options=container_options
    ) as out:
        out.metadata.update(tags or {})
        stream = out.add_stream(
            codec,
            rate=rate,
            layout="mono" if channels == 1 else "stereo",
            options={"strict": "experimental"},  # FFmpeg's own Vorbis calls itself so
        )
        if bit_rate:
            stream.bit_rate = bit_rate
        for piece in _pieces(stream.codec_context, samples, rate, channels):
            out.mux(stream.encode(piece))
        last = stream.encode(None)
        # The one in which FLAC tells its length has no bytes, and an Ogg takes none such.
        out.mux([packet for packet in last if packet.size or container != "ogg"])
    return path


def _pieces(
    context: av.AudioCodecContext, samples: np.ndarray, rate: int, channels: int
) -> list[av.AudioFrame]:
    layout = "mono" if channels == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples.reshape(1, -1)), format="flt", layout=layout
    )
    frame.sample_rate, frame.pts = rate, 0
    shaper = av.AudioResampler(
        format=context.format, layout=layout, rate=rate, frame_size=context.frame_size or 1024
    )
    return [*shaper.resample(frame), *shaper.resample(None)]


def join(path: Path, *parts: Path) -> Path:
    """One behind another, as `cat` does it."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def vbr_mp3(path: Path, *, xing: bool = True) -> Path:
    """Five seconds that are nearly silent, then five that are loud, each with the bits it needs."""
    samples = np.concatenate([np.zeros((5 * 44_100, 2), np.float32), tone(5)])
    options = {"write_xing": "1" if xing else "0"}
    with av.open(os.fspath(path), "w", format="mp3", container_options=options) as file:
        stream = file.add_stream("libmp3lame", rate=44_100, options={"flags": "+qscale"})
        stream.layout = "stereo"
        stream.codec_context.global_quality = 118 * 4
        for piece in _pieces(stream.codec_context, samples, 44_100, 2):
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return path


def add_ape_cover(path: Path, size: int) -> Path:
    """An APEv2 tag whose cover is as large as this, behind the sound."""
    tags = mutagen.apev2.APEv2()
    cover = b"Cover.jpg\0\xff\xd8" + bytes(range(256)) * (size // 256)
    tags["Cover Art (Front)"] = mutagen.apev2.APEValue(cover, mutagen.apev2.BINARY)
    tags.save(path)
    return path


def film_outlasts_sound(path: Path, seconds: float, film: float) -> Path:
    """A film whose sound ends earlier than its pictures do."""
    with av.open(os.fspath(path), "w", format="webm") as out:
        sound = out.add_stream("libopus", rate=48_000, layout="stereo")
        pictures = out.add_stream("libvpx", rate=10)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        for piece in _pieces(sound.codec_context, tone(seconds, rate=48_000), 48_000, 2):
            out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
        for number in range(round(film * 10)):
            picture = av.VideoFrame(32, 32, "yuv420p")
            picture.pts = number
            out.mux(pictures.encode(picture))
        out.mux(pictures.encode(None))
    return path


def late_granules(path: Path, whole: Path, start: float) -> Path:
    """A copy of the Ogg `whole` from `start` seconds on that keeps its granules."""
    with av.open(os.fspath(whole)) as source, av.open(os.fspath(path), "w", format="ogg") as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.pts is not None and packet.pts * packet.time_base >= start:
                packet.stream = stream
                out.mux(packet)
    return path


def without_end_mark(path: Path) -> Path:
    """Take the end-of-stream mark from the last page of an Ogg."""
    data = path.read_bytes()
    at = data.rfind(b"OggS")
    with path.open("rb") as file:
        file.seek(at)
        page = mutagen.ogg.OggPage(file)
    page.last = False
    path.write_bytes(data[:at] + page.write())
    return path
