"""Which pitch classes sound, and how much: spectral peaks, corrected for the song's own tuning."""

from __future__ import annotations

import numpy as np
from scipy import fft

from stemwatch.server.analysis.downmix import RATE
from stemwatch.server.analysis.filters import blackman_harris
from stemwatch.server.analysis.windows import Frames
from stemwatch.server.engines.spectral.stft import Array

HOP = 2048
STEPS = 10  # histogram bins a semitone, to find the tuning with
FAINT = 1e-3  # of the loudest peak so far: below is noise
SILENT = 1e-4  # magnitude a sample of window, about -80 dB: below is no music at all
BASS_WEIGHT = 0.3
IN_TUNE = 0.1  # how far peaks agree on a tuning, 0 to 1: below they don't, as those of noise
GROUP = 64  # frames transformed at once


class Chroma:
    """Collects two histograms: of the middle range (60 to 2200 Hz) and of the bass (38 to 160)."""

    def __init__(self) -> None:
        self._middle = _Peaks(8192, 60, 2200, tilt=True)
        self._bass = _Peaks(16_384, 38, 160, tilt=False)

    def add(self, sound: Array) -> None:
        """`sound`: float32 (n,) at 22.05 kHz."""
        self._middle.add(sound)
        self._bass.add(sound)

    def result(self) -> Array:
        """Weights of the twelve pitch classes from C; all zero where nothing sounded."""
        middle, bass = self._middle.histogram, self._bass.histogram
        if not middle.any():
            return np.zeros(12)
        return pitch_classes(middle) + BASS_WEIGHT * pitch_classes(bass)

    def tuning(self) -> float | None:
        """Cents from A4 = 440 Hz, -50 to 50, sharp is positive; None where nothing is in tune."""
        pull = _lean(self._middle.histogram)
        agreed = abs(pull) / (self._middle.histogram.sum() + 1e-9)
        return None if agreed < IN_TUNE else float(100 * np.angle(pull) / (2 * np.pi))


class _Peaks:
    """A histogram of peak frequencies, by tenth of a semitone from C, weighted by sqrt level."""

    def __init__(self, size: int, lowest: float, highest: float, *, tilt: bool) -> None:
        self.histogram = np.zeros(12 * STEPS)
        self._size, self._tilt = size, tilt
        self._frames = Frames(size, HOP)
        self._window = blackman_harris(size)
        self._first, self._last = (int(np.ceil(hz * size / RATE)) for hz in (lowest, highest))
        self._loudest = SILENT * size

    def add(self, sound: Array) -> None:
        frames = self._frames.add(sound)
        for start in range(0, len(frames), GROUP):
            windowed = frames[start : start + GROUP] * self._window
            magnitude = np.abs(fft.rfft(windowed, axis=1))
            self._count(magnitude[:, self._first - 1 : self._last + 1])

    def _count(self, magnitude: Array) -> None:
        below, here, above = magnitude[:, :-2], magnitude[:, 1:-1], magnitude[:, 2:]
        self._loudest = max(self._loudest, float(here.max()))
        peak = (here > below) & (here > above) & (here > FAINT * self._loudest)
        if not peak.any():
            return
        left, middle, right = (np.log(part[peak] + 1e-9) for part in (below, here, above))
        # The top of the parabola through three log magnitudes is the true frequency
        bend = np.minimum(left - 2 * middle + right, -1e-12)
        shift = np.clip((left - right) / 2 / bend, -0.5, 0.5)
        hz = (np.nonzero(peak)[1] + self._first + shift) * RATE / self._size
        weight = np.sqrt(here[peak])
        if self._tilt:  # high partials tell less about the key
            weight = weight * np.minimum(1, 500 / hz)
        semitones = 69 + 12 * np.log2(hz / 440)
        place = np.round(semitones * STEPS).astype(int) % len(self.histogram)
        self.histogram += np.bincount(place, weight, len(self.histogram))


def pitch_classes(histogram: Array) -> Array:
    """Twelve weights that sum to 1, from a histogram in tenths of a semitone."""
    place = np.arange(len(histogram)) / STEPS
    tuned = place - np.angle(_lean(histogram)) / (2 * np.pi)
    nearest = np.round(tuned).astype(int)
    sharp = histogram * np.exp(-0.5 * ((tuned - nearest) / 0.2) ** 2)
    classes = np.bincount(nearest % 12, sharp, 12)
    shares: Array = classes / (classes.sum() + 1e-9)
    return shares


def _lean(histogram: Array) -> complex:
    """Its angle says by what share of a semitone (a whole turn) the peaks lie off the notes."""
    place = np.arange(len(histogram)) / STEPS
    return complex(np.sum(histogram * np.exp(2j * np.pi * place)))
