"""Makes songs of several grooves whose tempo and first beat are known to the sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from stemwatch.server.engines.spectral.stft import Array

RATE = 44_100
ROOTS = (0, 5, 7, 0)  # of the bars, in semitones above A
EIGHTHS = tuple(half / 2 for half in range(8))
OFF_BEATS = (0.5, 1.5, 2.5, 3.5)


@dataclass(frozen=True, slots=True)
class Groove:
    """What is played when, in beats of a bar of four."""

    kicks: Sequence[float] = ()
    snares: Sequence[float] = (1, 3)
    hats: Sequence[float] = EIGHTHS
    open_hats: Sequence[float] = ()
    bass: Sequence[float] = (0, 2)
    chords: Sequence[float] = (0, 2)


GROOVES: Mapping[str, Groove] = MappingProxyType(
    {
        "rock": Groove(kicks=(0, 2, 2.5), bass=(0, 1.5, 2, 3.5)),
        "house": Groove((0, 1, 2, 3), (1, 3), (), OFF_BEATS, OFF_BEATS, (0, 1.5, 3)),
        "hip-hop": Groove(kicks=(0, 0.75, 2.5), bass=(0, 0.75, 2.5), chords=(0,)),
        "drum and bass": Groove(kicks=(0, 2.5), bass=(0, 2.5), chords=(0,)),
        "half time": Groove(kicks=(0,), snares=(2,)),
        "pop": Groove((0, 1.5, 2), (1, 3), EIGHTHS, (3.5,), EIGHTHS, (0, 1, 2, 3)),
        "disco": Groove((0, 1, 2, 3), (1, 3), EIGHTHS, OFF_BEATS, EIGHTHS, OFF_BEATS),
        "no drums": Groove(snares=(), hats=(), chords=(0, 1, 1.5, 2, 3, 3.5)),
    }
)


def groove_song(
    groove: str,
    *,
    bpm: float,
    first: float = 0.0,
    seconds: float = 12.0,
    seed: int = 0,
    noise: float = 0.0,
    cents: float = 0.0,
) -> Array:
    """float32 (n, 2) at 44.1 kHz, peak 0.9: silence until the first beat at `first` seconds.

    `noise` is the standard deviation of what hisses from the start; `cents` the tuning from A4 =
    440 Hz.
    """
    rng = np.random.default_rng(seed)
    parts, beat = GROOVES[groove], 60 / bpm
    out = np.zeros(round(seconds * RATE), np.float32)
    kick, snare = _kick(rng), _snare(rng)
    hat, open_hat = _hat(rng, 0.015), _hat(rng, 0.08)
    for bar in range(int(np.ceil((seconds - first) / (4 * beat)))):
        hz = 55 * 2 ** (ROOTS[bar % 4] / 12 + cents / 1200)
        chord = sum(_tone(4 * hz * 2 ** (step / 12), 0.9 * beat, 0.3) for step in (0, 4, 7))
        played = (
            (parts.kicks, 0.6 * kick),
            (parts.snares, 0.5 * snare),
            (parts.hats, 0.2 * hat),
            (parts.open_hats, 0.3 * open_hat),
            (parts.bass, 0.3 * _tone(hz, 0.45 * beat, 0.6)),
            (parts.chords, 0.12 * chord),
        )
        for places, sound in played:
            for place in places:
                _add(out, first + (4 * bar + place) * beat, sound)
    out += noise * rng.standard_normal(len(out), np.float32)
    out *= 0.9 / np.abs(out).max()
    return np.repeat(out[:, None], 2, 1)


def _add(out: Array, seconds: float, sound: Array) -> None:
    start = round(seconds * RATE)
    stop = min(start + len(sound), len(out))
    if start < stop:
        out[start:stop] += sound[: stop - start]


def _time(seconds: float) -> Array:
    return np.arange(round(seconds * RATE), dtype=np.float32) / RATE


def _kick(rng: np.random.Generator) -> Array:
    time = _time(0.25)
    sweep = 2 * np.pi * np.cumsum(45 + rng.uniform(60, 160) * np.exp(-time / 0.03)) / RATE
    click = rng.uniform(0, 0.3) * rng.normal(size=len(time)) * np.exp(-time / 0.004)
    return np.asarray(np.sin(sweep) * np.exp(-time / 0.09) + click, np.float32)


def _snare(rng: np.random.Generator) -> Array:
    time = _time(0.2)
    body = 0.5 * np.sin(2 * np.pi * rng.uniform(170, 230) * time) * np.exp(-time / 0.05)
    rattle = 0.4 * rng.normal(size=len(time)) * np.exp(-time / 0.06)
    return np.asarray(body + rattle, np.float32)


def _hat(rng: np.random.Generator, fade: float) -> Array:
    time = _time(0.3)
    bright = np.diff(rng.normal(size=len(time)), prepend=0)
    return np.asarray(0.3 * bright * np.exp(-time / fade), np.float32)


def _tone(hz: float, seconds: float, fade: float) -> Array:
    time = _time(seconds)
    wave = sum(np.sin(2 * np.pi * hz * n * time + n) / n for n in range(1, 6))
    edges = np.minimum(1, time / 0.004) * np.minimum(1, (seconds - time) / 0.01)
    return np.asarray(wave * edges * np.exp(-time / fade), np.float32)
