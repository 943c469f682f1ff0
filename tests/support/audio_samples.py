"""Small audio files made for a test, whole and damaged."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np

from stemwatch.audio.codec import Encoder, decode

RATE = 44_100
FORMATS = ("wav", "flac", "mp3", "m4a", "ogg", "webm")
# what a file of each format holds: container, codec, rate
_THROUGH_PYAV = {
    "m4a": ("mp4", "aac", RATE),
    "ogg": ("ogg", "libopus", 48_000),
    "webm": ("webm", "libopus", 48_000),
}


def tone(seconds: float = 3.0, *, channels: int = 2, rate: int = RATE, seed: int = 1) -> np.ndarray:
    """A chord with a little noise (so that no codec packs it to nothing), peak below 0.5."""
    time = np.arange(round(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220.0, 277.2, 329.6)) * 0.1
    noise = np.random.default_rng(seed).standard_normal((len(time), channels)) * 0.02
    return (chord[:, None] + noise).astype(np.float32)


def write(path: Path, samples: np.ndarray | None = None, *, format: str | None = None) -> Path:
    """Write `samples` (default: a 3 s tone) in the format of the name, or `format`."""
    samples = tone() if samples is None else samples
    format = format or path.suffix[1:]
    if format not in _THROUGH_PYAV:
        with Encoder(os.fspath(path), format, channels=samples.shape[1]) as encoder:
            encoder.write(samples)
        return path
    container, codec, rate = _THROUGH_PYAV[format]
    with av.open(os.fspath(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        for start in range(0, len(samples), 8192):
            block = np.ascontiguousarray(samples[start : start + 8192].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="stereo")
            frame.sample_rate, frame.pts = RATE, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def decoded(path: Path | str, *, rate: int = RATE) -> np.ndarray:
    """The whole file as `decode` gives it."""
    return np.concatenate([np.zeros((0, 2), np.float32), *decode(os.fspath(path), rate=rate)])


def cut(path: Path, share: float) -> Path:
    """Keep the first `share` of the file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def with_endless_vendor(path: Path) -> Path:
    """A FLAC whose comment block claims a text of 4 GB, on which mutagen runs out of memory.

    Its audio is whole. (Within a helper's limit of memory, that is a MemoryError at once.)
    """
    import mutagen.flac

    flac = mutagen.flac.FLAC(path)
    flac["TITLE"] = "Song"
    flac.save()
    data = bytearray(path.read_bytes())
    at = 4
    while data[at] & 127 != 4:  # the comment block's type
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    data[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(data))
    return path


def overwrite(path: Path, start: float, share: float, *, random: bool = True) -> Path:
    """Put garbage (or NULs) over `share` of the bytes, from `start` on."""
    data = bytearray(path.read_bytes())
    first, count = int(len(data) * start), int(len(data) * share)
    garbage = np.random.default_rng(3).bytes(count) if random else bytes(count)
    data[first : first + count] = garbage
    path.write_bytes(bytes(data))
    return path
