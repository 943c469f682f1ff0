"""Short songs for dropping: each number is another content, every format of the inbox."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np

from tests.support.audio_samples import tone, write
from tests.support.scenario.stems import wav_header

SECONDS = 5.0  # the shortest song that both wires take


def wav_bytes(number: int = 0, *, seconds: float = 1.0, rate: int = 8000) -> bytes:
    """A mono WAV; `number` sets its pitch, and its first sample so that no two are equal."""
    time = np.arange(rate) / rate
    second = (3000 * np.sin(2 * np.pi * (200 + number % 400) * time)).astype("<i2")
    samples = np.resize(second, round(seconds * rate))  # whole Hz: every second is the same
    samples[:2] = (number % 30_000, number // 30_000)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def drop(
    path: Path | bytes, number: int = 0, *, seconds: float = SECONDS, rate: int = 8000
) -> Path:
    """Write the WAV of that number at `path`, whatever the name's extension says."""
    path = Path(path if isinstance(path, Path) else path.decode("utf-8", "surrogateescape"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav_bytes(number, seconds=seconds, rate=rate))
    return path


def encode(path: Path, seed: int = 1, *, seconds: float = SECONDS) -> Path:
    """A song that really is of the format its extension names (in any case). It appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".writing {path.name}")
    write(part, tone(seconds, seed=seed), format=path.suffix[1:].lower())
    return part.rename(path)


def loud_wav(number: int = 0, *, seconds: float = 12.0) -> bytes:
    """A stereo WAV of real size (0.176 MB a second) that FLAC makes about 0.65 times as large."""
    noise = np.random.default_rng(number)
    frames = round(seconds * 44_100)
    samples = noise.normal(0.0, 280.0, (frames, 2)).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def large_wav(path: Path) -> None:
    """A WAV of 101 MB, most of it a hole: more than either wire takes as it is."""
    frames = 101 * 2**20 // 4
    with path.open("wb") as file:
        file.write(wav_header(frames))
        file.truncate(44 + frames * 4)
