"""Training cells: songs varied at random, mixed, cut into cues and what each source has there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from scipy.signal import butter, sosfilt, sosfiltfilt

from stemwatch.server.engines.spectral import bands
from stemwatch.server.engines.spectral.cues import NAMES, listen
from stemwatch.server.engines.spectral.network import SOURCES
from stemwatch.server.engines.spectral.stft import stft

RATE = bands.RATE
CELLS = 16_000  # from each variation of a song


class Cells(NamedTuple):
    """`cues` (n, 24), `shares` (n, 6): each source's part of the cell's power (it can be below 0 or
    above 1 where sources cancel), `weight` (n,): power for a cell of average draw, `energy` (n, 6):
    of each source in the cell's song, `song` (n,)."""

    cues: Any
    shares: Any
    weight: Any
    energy: Any
    song: Any


def load(folder: Path) -> dict[str, Any]:
    """The stems of one song: float32 (samples, 2) by name, of one length."""
    stems = {
        path.stem: soundfile.read(path, dtype="float32", always_2d=True)[0]
        for path in sorted(folder.glob("*.flac"))
        if path.stem in SOURCES
    }
    length = min(map(len, stems.values()))
    return {name: np.ascontiguousarray(sound[:length]) for name, sound in stems.items()}


def vary(stems: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Another song of the same notes: levels, sides, tone, missing stems, mono, a codec's edge."""
    names = list(stems)
    if rng.random() < 0.25 and len(names) > 2:
        names.remove(names[rng.integers(len(names))])
    varied = {name: _vary_stem(stems[name], rng) for name in names}
    if rng.random() < 0.2:
        varied = {n: np.repeat(s.mean(1, keepdims=True), 2, 1) for n, s in varied.items()}
    if rng.random() < 0.3:
        edge = butter(8, rng.uniform(10_500, 17_000), "low", fs=RATE, output="sos")
        varied = {n: sosfiltfilt(edge, s, axis=0).astype(np.float32) for n, s in varied.items()}
    return varied


def _vary_stem(sound: Any, rng: np.random.Generator) -> Any:
    sound = sound * 10 ** (rng.normal() * 3 / 20)
    if rng.random() < 0.3:
        sound = sound[:, ::-1]
    if rng.random() < 0.3:
        sound = sound * 10 ** (rng.normal(size=2) * 2 / 20)
    if rng.random() < 0.7:
        sound = _equalise(sound, rng)
    return np.ascontiguousarray(sound, np.float32)


def _equalise(sound: Any, rng: np.random.Generator) -> Any:
    """A random smooth tone curve, 4 dB at nine points."""
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    points = np.linspace(np.log2(30), np.log2(18_000), 9)
    decibels = np.interp(np.log2(np.maximum(hz, 20)), points, rng.normal(size=9) * 4)
    spectrum = np.fft.rfft(sound, axis=0) * (10 ** (decibels / 20))[:, None]
    return np.fft.irfft(spectrum, len(sound), axis=0)


def brighten(voice: Any, rng: np.random.Generator) -> Any:
    """Sibilance above 11 kHz, which the 22 kHz synthetic voice lacks and real ones have.

    Without it the network learns that a voice ends there, and leaves every "s" to the drums.
    """
    band = sosfilt(butter(6, [5200, 10_500], "band", fs=RATE, output="sos"), voice, axis=0)
    shifted = band * 2 * np.cos(2 * np.pi * 5500 * np.arange(len(voice)) / RATE)[:, None]
    shifted = sosfilt(butter(6, 10_800, "high", fs=RATE, output="sos"), shifted, axis=0)
    return (voice + shifted * 10 ** (rng.uniform(-8, 2) / 20)).astype(np.float32)


def cut(folder: Path, song: int, variation: int) -> Cells:
    """Cells of one variation of one song; variation 0 is the song as it was rendered."""
    rng = np.random.default_rng([song, variation])
    stems = load(folder)
    if "vocals" in stems and rng.random() < 0.8:
        stems["vocals"] = brighten(stems["vocals"], rng)
    if variation:
        stems = vary(stems, rng)
    heard = listen(np.ascontiguousarray(sum(stems.values())))
    shares = np.zeros((len(SOURCES), *heard.power.shape), np.float32)
    energy = np.zeros(len(SOURCES), np.float32)
    for name, sound in stems.items():
        part, number = stft(sound, bands.SIZE, bands.HOP), SOURCES.index(name)
        common = heard.spectrum.real * part.real + heard.spectrum.imag * part.imag
        shares[number] = bands.to_bands(common.sum(0)) / (heard.power + 1e-10)
        energy[number] = (np.abs(part) ** 2).sum()
    # Loud cells decide the error: draw them more often, and take the draw back by the weight
    power = heard.power.ravel()
    chance = (power + 1e-9) ** 0.4
    chance /= chance.sum()
    drawn = rng.choice(power.size, CELLS, p=chance)
    return Cells(
        heard.values.reshape(len(NAMES), -1)[:, drawn].T.astype(np.float16),
        np.clip(shares.reshape(len(SOURCES), -1)[:, drawn].T, -2, 3).astype(np.float16),
        (power[drawn] / (chance[drawn] * CELLS)).astype(np.float32),
        np.repeat(energy[None], CELLS, 0),
        np.full(CELLS, song, np.int32),
    )
