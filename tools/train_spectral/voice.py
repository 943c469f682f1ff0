"""A singing voice: syllables from espeak-ng, sung at a melody's pitch with the WORLD vocoder."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyworld
import soundfile
from arrangement import Note
from scipy.signal import resample_poly

RATE = 22050  # espeak-ng's own
FRAME = 0.005  # seconds, WORLD's frame period
# fmt: off
WORDS = (
    "love", "night", "you", "me", "time", "go", "fly", "high", "star", "fire", "rain", "home",
    "light", "way", "heart", "road", "know", "see", "down", "stay", "here", "gone", "blue",
    "moon", "tell", "feel", "run", "free", "hold", "on", "now", "world", "dream", "sea",
)
# fmt: on
VOICES = ("en-us+f2", "en-us+f3", "en-us+f4", "en-us+m1", "en-us+m3", "en-us+m7", "en-gb+f5")


@functools.cache
def syllable(word: str, voice: str) -> tuple[Any, Any, Any]:
    """WORLD's pitch track (Hz), envelope and aperiodicity of one spoken word, trimmed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", "130", "-w", path, word], check=True)
        sound, rate = soundfile.read(path)
    assert rate == RATE, rate
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    sound = sound[max(loud[0] - 200, 0) : loud[-1] + 200].astype(np.float64)
    sound += 1e-6 * np.random.default_rng(0).normal(size=len(sound))  # WORLD dislikes pure zeros
    pitch, times = pyworld.harvest(sound, rate, f0_floor=60, f0_ceil=500)
    return (
        pitch,
        pyworld.cheaptrick(sound, pitch, times, rate),
        pyworld.d4c(sound, pitch, times, rate),
    )


def stretch(frames: int, wanted: int) -> Any:
    """Frame numbers that stretch a syllable's middle; its consonants keep their length."""
    head = min(14, frames // 3, wanted // 3)
    middle = np.linspace(head, frames - head - 1, wanted - 2 * head)
    index = np.concatenate([np.arange(head), middle, np.arange(frames - head, frames)])
    return np.clip(np.round(index).astype(int), 0, frames - 1)


def sung_pitch(note: Note, before: int | None, frames: int, rng: np.random.Generator) -> Any:
    """Hz for each frame: a glide from the note before, late vibrato, slow drift."""
    time = np.arange(frames) * FRAME
    depth = 0.25 * np.clip((time - 0.18) / 0.2, 0, 1)
    cents = depth * np.sin(2 * np.pi * rng.uniform(5, 6) * time + rng.uniform(0, 6))
    if before is not None:
        cents = cents + (before - note.pitch) * np.exp(-time / 0.03)
    cents = cents + 0.08 * np.cumsum(rng.normal(size=frames)) / np.sqrt(frames)
    return 440 * 2 ** ((note.pitch - 69 + cents) / 12)


def sing(melody: list[Note], seconds: float, voice: str, rng: np.random.Generator) -> Any:
    """The melody as float32 (samples,) at 44.1 kHz, `seconds` long."""
    out = np.zeros(int((seconds + 1) * RATE))
    before: int | None = None
    for note in melody:
        pitch, envelope, aperiodicity = syllable(WORDS[rng.integers(len(WORDS))], voice)
        index = stretch(len(pitch), max(int(note.length / FRAME), 20))
        hz = np.where(pitch[index] > 0, sung_pitch(note, before, len(index), rng), 0.0)
        before = note.pitch
        sound = pyworld.synthesize(
            hz,
            np.ascontiguousarray(envelope[index]),
            np.ascontiguousarray(aperiodicity[index]),
            RATE,
            FRAME * 1000,
        )
        edge = np.arange(len(sound))
        sound *= np.minimum(1, np.minimum(edge / 200, edge[::-1] / 600))
        start = int(note.start * RATE)
        stop = min(start + len(sound), len(out))
        out[start:stop] += sound[: stop - start]
    return resample_poly(out, 2, 1)[: int(seconds * 44100)].astype(np.float32)
